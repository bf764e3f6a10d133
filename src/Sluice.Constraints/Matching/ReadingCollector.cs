using System.Runtime.InteropServices;
using Sluice.Constraints.Grammars;
using Sluice.Core;

namespace Sluice.Constraints.Matching;

/// <summary>
/// Follows the grammar's steps that read nothing, from wherever the last byte led, and collects the leaves it comes to. Scratch that is used
/// again and again by one automaton.
/// </summary>
internal sealed class ReadingCollector(GrammarProgram program, StackTable stacks, int limit)
{
    private readonly Stack<(Frame At, StackNode Stack)> _open = new();
    private readonly HashSet<(Frame At, StackNode Stack)> _seen = [];
    private readonly Dictionary<(int Leaf, int State, int Count), StackNode> _merged = [];
    private readonly List<Reading> _apart = [];
    private bool _canEnd;

    /// <summary>Adds a way of reading that is inside a leaf.</summary>
    public void Add(Reading reading)
    {
        ref StackNode? stack = ref CollectionsMarshal.GetValueRefOrAddDefault(
            _merged, (reading.Leaf, reading.State, reading.Count), out bool exists);
        if (!exists)
            stack = reading.Stack;
        else if (stacks.Merge(stack!, reading.Stack) is { } merged)
            stack = merged;
        else if (!_apart.Contains(reading))
            _apart.Add(reading);
        if (_merged.Count + _apart.Count > limit)
            throw new RequestException("the constraint is too ambiguous to follow", null, "constraint_too_complex");
    }

    /// <summary>Goes on at a step.</summary>
    public void Follow(int step, StackNode stack)
    {
        Open(new Frame(step, 0), stack);
        while (_open.TryPop(out var next))
            Run(next.At, next.Stack);
    }

    /// <summary>What was collected, as a state; leaves the collector empty.</summary>
    public ParserState Take(int classes, int generation)
    {
        var readings = new Reading[_merged.Count + _apart.Count];
        int count = 0;
        foreach (var entry in _merged)
            readings[count++] = new Reading(entry.Key.Leaf, entry.Key.State, entry.Key.Count, entry.Value);
        Array.Sort(readings, 0, count, ByLeaf.Instance);
        _apart.CopyTo(readings, count);
        bool canEnd = _canEnd;
        Clear();
        return new ParserState(readings, canEnd, classes, generation);
    }

    /// <summary>Forgets what was collected, also after an error.</summary>
    public void Clear()
    {
        _open.Clear();
        _seen.Clear();
        _merged.Clear();
        _apart.Clear();
        _canEnd = false;
    }

    private void Open(Frame at, StackNode stack)
    {
        if (_seen.Add((at, stack)))
            _open.Push((at, stack));
    }

    private void Run(Frame at, StackNode stack)
    {
        ProgramStep step = program[at.Step];
        switch (step.Kind)
        {
            case StepKind.Return:
                _canEnd |= stack.IsBottom;
                for (int i = 0; i < stack.Frames.Length; i++)
                    Open(stack.Frames[i], stack.Below[i]);
                break;
            case StepKind.Terminal:
                Terminal terminal = program.Terminals[step.Argument];
                if (terminal.Dfa.Continues(0))
                    Add(new Reading(step.Argument, 0, 0, After(step.Next, stack)));
                if (terminal.Dfa.IsNullable)
                    Open(new Frame(step.Next, 0), stack);
                break;
            case StepKind.Token:
                Add(new Reading(~step.Argument, 0, 0, After(step.Next, stack)));
                break;
            case StepKind.Call:
                Open(new Frame(step.Argument, 0), After(step.Next, stack));
                break;
            case StepKind.Split:
                foreach (int target in program.Targets(step.Argument))
                    Open(new Frame(target, 0), stack);
                break;
            case StepKind.Repeat:
                if (at.Count < step.Max)
                {
                    // Without an upper bound, turns beyond the lower one are all alike.
                    int count = step.Max == int.MaxValue ? Math.Min(at.Count + 1, step.Min) : at.Count + 1;
                    Open(new Frame(step.Argument, 0), stacks.Push(new Frame(at.Step, count), stack));
                }

                if (at.Count >= step.Min)
                    Open(new Frame(step.Next, 0), stack);
                break;
        }
    }

    // The last step of a piece returns to where the piece was called, not to the piece: right recursion needs no stack.
    private StackNode After(int next, StackNode stack) =>
        next == GrammarProgram.Return ? stack : stacks.Push(new Frame(next, 0), stack);

    private sealed class ByLeaf : IComparer<Reading>
    {
        public static ByLeaf Instance { get; } = new();

        public int Compare(Reading a, Reading b) => (a.Leaf, a.State, a.Count).CompareTo((b.Leaf, b.State, b.Count));
    }
}
