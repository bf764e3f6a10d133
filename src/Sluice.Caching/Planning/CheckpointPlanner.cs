using System.Runtime.InteropServices;
using Sluice.Caching.Tree;
using Sluice.Core;

namespace Sluice.Caching.Planning;

/// <summary>What the planner aims for.</summary>
public sealed record PlannerOptions
{
    /// <summary>Longest stretch of a prompt without a checkpoint while memory is free, tokens.</summary>
    public int Spacing { get; init; } = 512;

    /// <summary>Fewest tokens a checkpoint must save over the one before it.</summary>
    public int MinimumGain { get; init; } = 8;

    internal void Validate()
    {
        if (MinimumGain < 1 || Spacing / 2 < MinimumGain)
            throw new ConfigurationException($"checkpoint planner: expected 1 <= MinimumGain <= Spacing / 2, found {this}");
    }
}

/// <summary>
/// Decides, before the first chunk of a prefill, after which tokens its state is worth exporting. Knows positions and counts only:
/// whether a slot can be had is asked again when each is reached.
/// </summary>
public sealed class CheckpointPlanner
{
    private readonly PlannerOptions _options;

    /// <summary>Creates a planner.</summary>
    public CheckpointPlanner(PlannerOptions? options = null)
    {
        _options = options ?? new PlannerOptions();
        _options.Validate();
    }

    /// <summary>
    /// Fills <paramref name="plan"/> with ascending positions in (<paramref name="from"/>, length), none nearer than
    /// <see cref="PlannerOptions.MinimumGain"/> to the one before.
    /// </summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="from">Tokens restored from the cache.</param>
    /// <param name="keyDepth">Tokens known to the tree, ghosts included; where the prompt branches off.</param>
    /// <param name="freeSlots">Slots free once the prompt's pages are taken.</param>
    /// <param name="obtainableSlots">Slots free or held by checkpoints that could be evicted.</param>
    /// <param name="plan">Receives the plan.</param>
    public void Plan(
        in PromptLayout prompt, int from, int keyDepth, int freeSlots, int obtainableSlots, List<PlannedCheckpoint> plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        plan.Clear();

        // A state after the last token would leave nothing to compute, and no logits.
        int last = prompt.Length - 1;
        if (last - from < _options.MinimumGain || obtainableSlots <= 0)
            return;
        AddMeaningful(prompt, from, last, keyDepth, plan);
        while (plan.Count > obtainableSlots)
            plan.RemoveAt(LeastImportant(plan));
        int interior = freeSlots - plan.Count;
        if (interior > 0)
            FillGaps(prompt.TurnStarts, from, last, interior, plan);
    }

    /// <summary>The positions that mean something, ascending, without those that save too little over the one before.</summary>
    private void AddMeaningful(in PromptLayout prompt, int from, int last, int keyDepth, List<PlannedCheckpoint> plan)
    {
        Add(Math.Min(prompt.GenerationPrefix, last), CheckpointReason.PromptEnd);
        int system = FirstAfter(prompt.TurnStarts, 0);
        if (system > 0 && prompt.TurnStarts[0] > 0)
            Add(system, CheckpointReason.SystemEnd);
        Add(Math.Min(keyDepth, last), CheckpointReason.Branch);
        Add(prompt.LastUserTurn, CheckpointReason.LastUserTurn);
        if (prompt.LastUserTurn > 0)
            Add(FirstAfter(prompt.TurnStarts, prompt.LastUserTurn), CheckpointReason.LastUserTurnEnd);
        foreach (int breakpoint in prompt.Breakpoints)
            Add(Math.Min(breakpoint, last), CheckpointReason.Breakpoint);

        CollectionsMarshal.AsSpan(plan).Sort(static (a, b) => a.Position != b.Position ? a.Position.CompareTo(b.Position) : a.Reason.CompareTo(b.Reason));
        int kept = 0, previous = from;
        foreach (PlannedCheckpoint candidate in CollectionsMarshal.AsSpan(plan))
        {
            if (candidate.Position - previous < _options.MinimumGain)
                continue;
            plan[kept++] = candidate;
            previous = candidate.Position;
        }

        plan.RemoveRange(kept, plan.Count - kept);

        void Add(int position, CheckpointReason reason)
        {
            if (position > from && position <= last)
                plan.Add(new PlannedCheckpoint(position, reason));
        }
    }

    private static int FirstAfter(ReadOnlySpan<int> ascending, int position)
    {
        foreach (int start in ascending)
        {
            if (start > position)
                return start;
        }

        return 0;
    }

    private static int LeastImportant(List<PlannedCheckpoint> plan)
    {
        int worst = 0;
        for (int i = 1; i < plan.Count; i++)
        {
            if (plan[i].Reason >= plan[worst].Reason)
                worst = i;
        }

        return worst;
    }

    /// <summary>
    /// Cuts what is longer than the spacing, at starts of turns where one is near, else at multiples of the spacing, which other
    /// prompts with the same beginning arrive at too. With few slots the spacing doubles until they suffice.
    /// </summary>
    private void FillGaps(ReadOnlySpan<int> turns, int from, int last, int slots, List<PlannedCheckpoint> plan)
    {
        int anchors = plan.Count;
        for (long spacing = _options.Spacing; !TryFill(turns, from, last, spacing, anchors, slots, plan); spacing *= 2)
            plan.RemoveRange(anchors, plan.Count - anchors);
        CollectionsMarshal.AsSpan(plan).Sort(static (a, b) => a.Position.CompareTo(b.Position));
    }

    private bool TryFill(ReadOnlySpan<int> turns, int from, int last, long spacing, int anchors, int slots, List<PlannedCheckpoint> plan)
    {
        int cursor = from, turn = 0;
        for (int anchor = 0; anchor <= anchors; anchor++)
        {
            int end = anchor < anchors ? plan[anchor].Position : last;
            while (end - cursor > spacing)
            {
                if (plan.Count - anchors == slots)
                    return false;
                (int cut, CheckpointReason reason) = Cut(turns, ref turn, cursor, spacing);

                // What comes next must save enough over the cut, too.
                cursor = Math.Min(cut, end - _options.MinimumGain);
                plan.Add(new PlannedCheckpoint(cursor, reason));
            }

            cursor = end;
        }

        return true;
    }

    /// <summary>The next cut: the last start of a turn in the second half of the spacing, or a multiple of the spacing.</summary>
    private (int Position, CheckpointReason Reason) Cut(ReadOnlySpan<int> turns, ref int turn, int cursor, long spacing)
    {
        int best = 0;
        for (; turn < turns.Length && turns[turn] <= cursor + spacing; turn++)
        {
            if (turns[turn] > cursor + (spacing / 2))
                best = turns[turn];
        }

        if (best > 0)
            return (best, CheckpointReason.Turn);
        int grid = (int)((cursor + spacing) / spacing * spacing);
        return (grid - cursor >= _options.MinimumGain ? grid : (int)(cursor + spacing), CheckpointReason.Interior);
    }
}
