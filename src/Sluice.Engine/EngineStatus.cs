namespace Sluice.Engine;

/// <summary>What an engine is doing: figures read one by one while it runs, for health checks and displays.</summary>
/// <param name="Accepting">Whether it takes requests: false when it is draining, has stopped or has failed.</param>
/// <param name="Running">Sequences that take part in steps.</param>
/// <param name="Waiting">Requests that wait.</param>
/// <param name="Pages">KV pages there are.</param>
/// <param name="FreePages">KV pages nobody holds.</param>
/// <param name="Slots">State slots there are.</param>
/// <param name="FreeSlots">State slots nobody holds.</param>
/// <param name="Steps">Steps made since the start.</param>
public readonly record struct EngineStatus(
    bool Accepting, int Running, int Waiting, int Pages, int FreePages, int Slots, int FreeSlots, long Steps);
