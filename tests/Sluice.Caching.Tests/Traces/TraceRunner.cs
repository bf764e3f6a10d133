using Sluice.Caching.Memory;
using Sluice.Caching.Planning;
using Sluice.Caching.Sequences;
using Sluice.Caching.Tree;
using Sluice.Core;

namespace Sluice.Caching.Tests.Traces;

/// <summary>What a cache reused over a trace.</summary>
/// <param name="Prompt">Tokens asked for.</param>
/// <param name="Reused">Tokens not computed.</param>
/// <param name="Ideal">Tokens that unlimited memory and a checkpoint everywhere would not compute.</param>
/// <param name="PeakBytes">Most memory in use.</param>
/// <param name="WorstExcess">Most tokens any one request computed beyond the ideal.</param>
public sealed record TraceResult(long Prompt, long Reused, long Ideal, long PeakBytes, int WorstExcess)
{
    public double OfIdeal => (double)Reused / Math.Max(1, Ideal);
}

/// <summary>Runs traces through the cache, one request after another, chunk by chunk, as the engine would.</summary>
public static class TraceRunner
{
    private const int Chunk = 2048;

    /// <summary>Qwen3-Next-80B: 12 layers of KV at 32 KiB a page, 36 states of 2 MiB and a float32 convolution.</summary>
    public static MemoryGeometry Geometry { get; } = MemoryGeometry.Choose(12, 32 << 10, 36, (2 << 20) + (96 << 10));

    /// <summary>Runs a trace in a memory of <paramref name="bytes"/>; plain means a checkpoint at the end of each prompt, evicted by last use.</summary>
    public static TraceResult Run(IReadOnlyList<TraceRequest> trace, long bytes, bool plain = false, EvictionPolicy? policy = null)
    {
        var options = new PrefixCacheOptions
        {
            Tree = new TreeOptions { Eviction = plain ? new EvictionPolicy { HalfLife = 0.01 } : policy ?? new EvictionPolicy() },
            Checks = new MemoryChecks { Ledger = false, Poison = false },
        };
        var cache = new PrefixCache(Geometry, bytes, options);
        var oracle = new PrefixOracle();
        var plan = new List<PlannedCheckpoint>();
        long prompt = 0, reused = 0, ideal = 0, peak = 0;
        int worst = 0;
        foreach (TraceRequest request in trace)
        {
            int best = Math.Min(oracle.Longest(request.Prompt), request.Prompt.Length - 1);
            int[] all = [.. request.Prompt, .. request.Answer];
            int got = Serve(cache, request, all, plain, plan);
            oracle.Add(all.AsSpan(0, all.Length - 1));
            prompt += request.Prompt.Length;
            reused += got;
            ideal += best;
            worst = Math.Max(worst, best - got);
            peak = Math.Max(peak, ((long)cache.Memory.Superblocks * Geometry.SuperblockBytes) - cache.Memory.FreeBytes);
        }

        cache.CheckIntegrity();
        return new TraceResult(prompt, reused, ideal, peak, worst);
    }

    private static int Serve(PrefixCache cache, TraceRequest request, int[] all, bool plain, List<PlannedCheckpoint> plan)
    {
        int[] prompt = request.Prompt;
        PrefixLease lease = cache.Match("", prompt);
        if (!cache.TryAdmit(lease, Math.Min(prompt.Length, lease.Position + Chunk), out SequenceMemory? sequence))
            throw new InvalidOperationException($"a prompt of {prompt.Length} tokens does not fit");
        var layout = new PromptLayout(prompt.Length)
        {
            TurnStarts = request.Turns,
            LastUserTurn = request.LastUserTurn,
            GenerationPrefix = request.GenerationPrefix,
        };
        cache.Plan(sequence!, lease, layout, plan);
        if (plain)
        {
            plan.Clear();
            if (prompt.Length - 1 > lease.Position)
                plan.Add(new PlannedCheckpoint(Math.Max(lease.Position + 1, Math.Min(request.GenerationPrefix, prompt.Length - 1)), CheckpointReason.PromptEnd));
        }
        else
        {
            cache.Announce("", prompt);
        }

        int next = 0;
        while (sequence!.Computed < all.Length - 1)
        {
            int to = Math.Min(sequence.Computed + Chunk, sequence.Computed < prompt.Length ? prompt.Length : all.Length - 1);
            if (!cache.TryGrow(sequence, to))
                throw new InvalidOperationException("no room for a chunk");
            for (; next < plan.Count && plan[next].Position <= to; next++)
                _ = cache.TryReserve(sequence, plan[next]);
            cache.Advance(sequence, to - sequence.Computed);
            cache.Publish(sequence, all);
        }

        if (plain)
            cache.Release(sequence);
        else
            cache.Finish(sequence, all);
        cache.Memory.Work.Clear();
        return lease.Position;
    }

    /// <summary>The longest prefix ever seen, by the hash of every prefix.</summary>
    private sealed class PrefixOracle
    {
        private readonly HashSet<ulong> _seen = [];

        public int Longest(ReadOnlySpan<int> tokens)
        {
            ulong hash = 1;
            for (int i = 0; i < tokens.Length; i++)
            {
                hash = Fuzz.Text.After(hash, tokens[i]);
                if (!_seen.Contains(hash))
                    return i;
            }

            return tokens.Length;
        }

        public void Add(ReadOnlySpan<int> tokens)
        {
            ulong hash = 1;
            foreach (int token in tokens)
                _seen.Add(hash = Fuzz.Text.After(hash, token));
        }
    }
}
