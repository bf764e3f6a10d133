using System.Text.Json.Serialization;
using Sluice.Caching.Tree;
using Sluice.Engine;

namespace Sluice.Server.Debug;

/// <summary>The engine and its cache, for displays.</summary>
internal sealed record CacheView(EngineView Engine, MemoryView Memory, PromptView Prompts, CheckpointView Checkpoints, TreeView Tree)
{
    public static CacheView Of(EngineStatus status, CacheSnapshot snapshot)
    {
        CacheUse use = snapshot.Use;
        return new CacheView(
            new EngineView(status.Running, status.Waiting, status.Steps, status.OutputTokens, status.Preemptions, status.Accepting),
            new MemoryView(
                use.TotalBytes, use.FreeBytes, use.SequencePages * use.PageBytes, use.SequenceSlots * use.SlotBytes, use.CachedPages * use.PageBytes, use.CachedSlots * use.SlotBytes),
            new PromptView(use.Counters.Admitted, use.Counters.PromptTokens, use.Counters.CachedTokens, use.HitRate),
            new CheckpointView(use.CachedSlots, use.Counters.Published, use.Counters.Refused, use.Counters.Skipped, use.Counters.Evicted),
            new TreeView(use.Nodes, use.Ghosts, use.Salts, [.. snapshot.Nodes.Select(NodeView.Of)]));
    }
}

/// <summary>What runs.</summary>
internal sealed record EngineView(int Running, int Waiting, long Steps, long OutputTokens, long Preemptions, bool Accepting);

/// <summary>The one budget, bytes.</summary>
internal sealed record MemoryView(long Total, long Free, long RunningKv, long RunningStates, long CachedKv, long CachedStates);

/// <summary>Prompts since the start.</summary>
internal sealed record PromptView(long Admitted, long Tokens, long CachedTokens, double HitRate);

/// <summary>State checkpoints: those there are, and what was done since the start.</summary>
internal sealed record CheckpointView(int Held, long Published, long Refused, long Skipped, long Evicted);

/// <summary>The prefix tree: its size, and its most recently used nodes, parents before children.</summary>
internal sealed record TreeView(int NodeCount, int Ghosts, int Salts, IReadOnlyList<NodeView> Nodes);

/// <summary>A node; what its tokens are is not told.</summary>
internal sealed record NodeView(int Id, int Parent, string Salt, int Start, int Tokens, bool Kv, bool State, string? Reason, int Uses, int Leases, int Children)
{
    public static NodeView Of(NodeDescription node) => new(
        node.Id, node.Parent, node.Salt, node.Start, node.Tokens, node.HasKv, node.HasState, node.Reason?.ToString(), node.Uses, node.Leases, node.Children);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(CacheView))]
internal sealed partial class DebugJson : JsonSerializerContext;
