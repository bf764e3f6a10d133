using Sluice.Caching.Tree;

namespace Sluice.Caching.Planning;

/// <summary>A position of the prompt after which the state is to be exported.</summary>
/// <param name="Position">Tokens absorbed.</param>
/// <param name="Reason">Why.</param>
public readonly record struct PlannedCheckpoint(int Position, CheckpointReason Reason)
{
    /// <summary>Whether it may only take memory nobody uses; the others may take that of checkpoints worth less.</summary>
    public bool OnlyIfFree => Reason is CheckpointReason.Turn or CheckpointReason.Interior;
}
