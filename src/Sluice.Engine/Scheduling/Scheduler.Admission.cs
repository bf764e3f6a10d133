using Sluice.Backends;
using Sluice.Caching.Planning;
using Sluice.Caching.Sequences;
using Sluice.Caching.Tree;
using Sluice.Core;

namespace Sluice.Engine.Scheduling;

/// <content>Who may come in: with room for all it has, after whoever computes its prefix already, before lower priorities.</content>
internal sealed partial class Scheduler
{
    /// <summary>Fewest tokens worth waiting for until another has computed them.</summary>
    private const int LeastProvided = 16;

    /// <summary>Waiting sequences that are compared with those whose prompts are being computed, each step.</summary>
    private const int MostCompared = 16;

    private enum Admission
    {
        Started,
        Deferred,
        NoRoom,
    }

    /// <summary>Before anything of the step is laid down: higher priorities take the places of lower ones.</summary>
    private void AdmitUrgent()
    {
        for (int i = 0; i < _waiting.Count && _running.Count > 0 && _waiting[i].Priority > _running[^1].Priority;)
        {
            Sequence next = _waiting[i];
            Admission admission = _running.Count < _maxRunning ? TryAdmit(next) : Admission.NoRoom;
            if (admission == Admission.Deferred)
                i++;
            else if (admission == Admission.NoRoom)
                Preempt(_running[^1]);
        }
    }

    /// <summary>
    /// Before the step's chunks are laid down, so that whoever computes what others wait to begin with still exports where they part.
    /// </summary>
    private void LookForProviders()
    {
        if (!_cache.IsEnabled || !_running.Exists(static x => x.Remaining > 1))
            return;
        for (int i = 0; i < Math.Min(_waiting.Count, MostCompared); i++)
        {
            Sequence next = _waiting[i];
            if (IsProvidedFor(next))
                continue;
            PrefixLease lease = _cache.Match(next.CacheSalt, next.Tokens);
            _ = ShouldWaitForAnother(next, lease.Position);
            _cache.Release(lease);
        }
    }

    private static bool IsProvidedFor(Sequence next) =>
        next.Provider is { Status: SequenceStatus.Running } provider && provider.Computed < next.ProvidedAt;

    private void Admit(StepBatch batch, List<PlannedSpan> planned)
    {
        int deferred = 0;
        while (deferred < _waiting.Count && deferred <= _maxRunning && _running.Count < _maxRunning && batch.TokenCount < _budget)
        {
            Sequence next = _waiting[deferred];
            Admission admission = TryAdmit(next);
            if (admission == Admission.NoRoom)
                break;
            if (admission == Admission.Deferred)
                deferred++;
            else
                AddChunk(next, batch, planned);
        }
    }

    private Admission TryAdmit(Sequence next)
    {
        if (IsProvidedFor(next))
            return Admission.Deferred;
        next.Provider = null;
        PrefixLease lease = _cache.Match(next.CacheSalt, next.Tokens);
        if (ShouldWaitForAnother(next, lease.Position))
        {
            _cache.Release(lease);
            return Admission.Deferred;
        }

        SequenceMemory? memory = null;
        if (!HasRoom(next, lease) || !_cache.TryAdmit(lease, next.Length, out memory))
        {
            _cache.Release(lease);

            // Keeping what was found takes memory beside what it is copied to. Alone, everybody fits without.
            if (_running.Count > 0)
                return Admission.NoRoom;
            lease = _cache.MatchNothing(next.CacheSalt, next.Tokens);
            if (!_cache.TryAdmit(lease, next.Length, out memory))
                throw new InvalidOperationException($"a sequence of {next.Length} tokens was accepted and does not fit alone");
        }

        Start(next, memory!, lease);
        return Admission.Started;
    }

    /// <summary>A page for each running sequence stays free: else whoever comes in is preempted again at their next page.</summary>
    private bool HasRoom(Sequence next, PrefixLease lease)
    {
        MemoryGeometry geometry = _cache.Memory.Geometry;
        int fresh = geometry.PagesFor(next.Length) - (lease.Position / geometry.PageTokens);
        return _cache.CouldHold(fresh + _running.Count, geometry.HasStates ? 1 : 0);
    }

    private void Start(Sequence next, SequenceMemory memory, PrefixLease lease)
    {
        _waiting.Remove(next);
        if (next.AdmittedAt is null)
            next.Prefix = new PrefixUse(lease.Position, lease.KvDepth, lease.KeyDepth, lease.Miss);
        Start(next, memory);
        _cache.Plan(memory, lease, Layout(next), next.Plan);
        next.StartPlan();
        _cache.Announce(next.CacheSalt, next.Tokens);
    }

    private static PromptLayout Layout(Sequence sequence) => sequence.Structure is not { } structure
        ? new PromptLayout(sequence.Length)
        : new PromptLayout(sequence.Length)
        {
            TurnStarts = structure.TurnStarts.ToArray(),
            LastUserTurn = structure.LastUserTurn,
            GenerationPrefix = structure.GenerationPrefix ?? sequence.Length,
            Breakpoints = structure.Breakpoints.ToArray(),
        };

    /// <summary>
    /// Whether somebody who runs will export a state of this prompt deeper than what the cache has, and is at least as far: both
    /// compute at the same rate at best, so waiting is never later. Where the two part, he is asked to export, too.
    /// </summary>
    private bool ShouldWaitForAnother(Sequence next, int cached)
    {
        if (!_cache.IsEnabled)
            return false;
        foreach (Sequence other in _running)
        {
            bool isSooner = other.Remaining > 1 && other.Computed >= cached && other.Priority >= next.Priority;
            if (!isSooner || !string.Equals(other.CacheSalt, next.CacheSalt, StringComparison.Ordinal))
                continue;
            int common = other.Tokens.CommonPrefixLength(next.Tokens);
            int limit = Math.Min(common, Math.Min(next.Length, other.Length) - 1);
            if (limit < cached + LeastProvided)
                continue;
            int provided = Provided(other, limit);
            if (provided < cached + LeastProvided)
                continue;
            next.Provider = other;
            next.ProvidedAt = provided;
            Deferrals++;
            return true;
        }

        return false;
    }

    /// <summary>The deepest position up to <paramref name="limit"/> from which others can continue once it is computed.</summary>
    private int Provided(Sequence other, int limit)
    {
        // Without states, KV alone continues a prefix, at any token.
        if (!_cache.Memory.Geometry.HasStates)
            return limit > other.Computed ? limit : 0;
        if (limit > other.ComputedAfterStep)
            other.AddPlanned(new PlannedCheckpoint(limit, CheckpointReason.Branch), _cache.LeastGain);
        return other.DeepestPlanned(limit);
    }
}
