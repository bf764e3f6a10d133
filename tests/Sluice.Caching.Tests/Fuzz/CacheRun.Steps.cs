using Sluice.Caching.Planning;
using Sluice.Caching.Sequences;
using Sluice.Caching.Tree;

namespace Sluice.Caching.Tests.Fuzz;

/// <content>A step of a sequence: what the engine and the device do between two publications.</content>
public sealed partial class CacheRun
{
    private void Step()
    {
        if (_running.Count == 0)
            return;
        int index = _rng.Below(_running.Count);
        Running running = _running[index];
        SequenceMemory memory = running.Memory;
        int left = running.Text.Length - memory.Computed;
        if (left == 0)
        {
            _running.RemoveAt(index);
            Finish(running);
            return;
        }

        int target = memory.Computed + _rng.In(1, Math.Min(left, 10));
        if (!Grow(running, target))
        {
            // Preempted: what it has becomes a prefix to come back to.
            _running.RemoveAt(index);
            if (_rng.Chance(0.7))
                Finish(running);
            else
                _cache.Release(memory);
            return;
        }

        ReserveExports(running, target);
        if (_rng.Chance(0.05))
        {
            Abandon(running);
            return;
        }

        Compute(running, target, _device);
        _cache.Advance(memory, target - memory.Computed);
        if (_rng.Chance(0.8))
            Publish(running);
    }

    /// <summary>The step is never run: cancelled, or pre-empted after planning. The sequence ends or goes on; nothing was written.</summary>
    private void Abandon(Running running)
    {
        Coverage.Note("abandoned steps");
        running.Published.RemoveWhere(x => x > running.Memory.Computed);
        if (_rng.Chance(0.5))
        {
            _cache.CancelExports(running.Memory);
            return;
        }

        _running.Remove(running);
        Finish(running);
    }

    private bool Grow(Running running, int target)
    {
        int missing = Geometry.PagesFor(target) - running.Memory.PageCount;
        bool must = missing <= 0 || Fits(missing, 0);
        _asking = running.Text.Salt;
        long evictions = _cache.Tree.Evictions;
        bool grown = _cache.TryGrow(running.Memory, target);
        ViolationException.Unless(grown || !must, $"{missing} pages fit, and were refused");
        RequireNothingInVain(grown, evictions);
        Coverage.Note("refused pages", grown ? 0 : 1);
        return grown;
    }

    private void ReserveExports(Running running, int target)
    {
        SequenceMemory memory = running.Memory;
        int position = memory.Computed;
        while (position < target)
        {
            PlannedCheckpoint planned;
            int next = running.Plan.FindIndex(x => x.Position > position);
            if (next >= 0 && running.Plan[next].Position <= target)
                planned = running.Plan[next];
            else if (_rng.Chance(0.3))
                planned = new PlannedCheckpoint(_rng.In(position + 1, target), _rng.Chance(0.3) ? CheckpointReason.Interior : CheckpointReason.Branch);
            else
                return;
            position = planned.Position;
            Reserve(running, planned);
        }
    }

    private void Reserve(Running running, PlannedCheckpoint planned)
    {
        SequenceMemory memory = running.Memory;
        bool room = Geometry.HasStates && _cache.Memory.CanHold(0, 1);
        bool sparse = _cache.Memory.FreePagesInPartial >= Geometry.PagesPerSuperblock;
        int previous = memory.Restored;
        for (int i = memory.Computed; i > memory.Restored && previous == memory.Restored; i--)
        {
            // The model's view of "the checkpoint before": the last one this sequence published or has pending.
            if (running.Published.Contains(i))
                previous = i;
        }

        foreach (StateCheckpoint pending in memory.Exports)
            previous = pending.Position;
        double worth = Geometry.HasStates ? _model.Worth(_cache.Tree.LogChance(planned.Reason), previous, planned.Position, true, _cache.Tick) : 0;
        string? scope = IsOver(running.Text.Salt) ? running.Text.Salt : null;
        bool cheaper = Geometry.HasStates && !planned.OnlyIfFree && _model.LeastWorth(scope) < worth - 1e-6;
        _asking = null;
        _scope = scope;
        _worthLimit = worth;
        int slot = _cache.TryReserve(memory, planned);
        _worthLimit = double.PositiveInfinity;
        ViolationException.Unless(slot >= 0 || !(room || cheaper), "an export was refused that had room, or was worth more than another");
        ViolationException.Unless(slot < 0 || room || sparse || !planned.OnlyIfFree, "an export took memory that was not free, and might not");
        Coverage.Note(slot >= 0 ? "exports" : "skipped exports");
        if (slot >= 0)
            running.Published.Add(planned.Position);
    }

    /// <summary>
    /// What the device does in a step: runs what it was told, reads the sequence's state and all its KV, which must be those of its
    /// text, and writes new KV, exports and the live state.
    /// </summary>
    private void Compute(Running running, int target, Device device, ulong noise = 0)
    {
        SequenceMemory memory = running.Memory;
        ulong[] hash = running.Text.Hash;
        int computed = memory.Computed;
        device.Drain();
        for (int i = 0; i < computed; i++)
        {
            ulong found = device.ReadKv(memory.PageTable[i / Geometry.PageTokens], i);
            ViolationException.Unless(found == hash[i + 1], $"sequence {memory.Id} of {computed} tokens reads wrong KV at {i}");
        }

        ViolationException.Unless(
            !Geometry.HasStates || computed == 0 || device.HoldsState(memory.LiveSlot, computed, hash[computed]),
            $"sequence {memory.Id} of {computed} tokens reads a wrong state");
        for (int i = computed; i < target; i++)
            device.WriteKv(memory.PageTable, i, hash[i + 1] ^ noise);
        foreach (StateCheckpoint export in memory.Exports)
        {
            if (export.Position > computed && export.Position <= target)
                device.WriteState(export.Slot, export.Position, hash[export.Position] ^ noise);
        }

        if (Geometry.HasStates)
            device.WriteState(memory.LiveSlot, target, hash[target] ^ noise);
        Coverage.Note("tokens computed", target - computed);
    }

    private void Publish(Running running)
    {
        (int attached, int refused, int adopted) = Expect(running);
        InsertOutcome outcome = _cache.Publish(running.Memory, running.Text.Tokens);
        CheckOutcome(outcome, attached, refused, adopted);
    }

    /// <summary>
    /// A step goes wrong: nonsense is written and, sometimes, published and leased before anybody notices. Nothing of it may remain.
    /// </summary>
    private void Fault()
    {
        if (_running.Count == 0)
            return;
        Running running = _running[_rng.Below(_running.Count)];
        SequenceMemory memory = running.Memory;
        Text text = running.Text;
        int left = text.Length - memory.Computed;
        if (left > 0 && Grow(running, memory.Computed + _rng.In(1, left)))
        {
            int target = Math.Min(text.Length, memory.PageCount * Geometry.PageTokens);
            ReserveExports(running, target);
            Compute(running, target, _device, noise: 1);
            if (_rng.Chance(0.6))
            {
                _cache.Advance(memory, target - memory.Computed);
                Publish(running);
                if (_leases.Count < MostLeases)
                    _leases.Add((MatchAndCheck(text), text));
            }
        }

        int from = memory.Restored;
        if (Geometry.HasStates)
            _model.Forget(text, from);
        _cache.Fail(memory, text.Tokens);
        _running.Remove(running);
        if (!Geometry.HasStates)
            _model.Forget(text, from, ResidentHashes(), LeasedHashes());
        _touched = null;
        Coverage.Note("faults");
    }
}
