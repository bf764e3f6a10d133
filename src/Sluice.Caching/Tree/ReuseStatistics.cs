namespace Sluice.Caching.Tree;

/// <summary>
/// How likely a checkpoint is to be used once more, by why it was made and how often it was used already, as observed: a system
/// prompt's state that was used is used again; the state at the end of an answer is never used where templates strip thinking, and
/// once in agent loops. Counts outcomes only: a use, or an eviction without one. A use that came after the eviction, which ghosts
/// show, takes the eviction back.
/// </summary>
internal sealed class ReuseStatistics
{
    /// <summary>Uses told apart: none, one, ... this many less one or more.</summary>
    private const int Levels = 4;

    /// <summary>Outcomes beyond which old ones fade, so that a change of traffic shows within about as many.</summary>
    private const double Memory = 256;

    private const double GuessWeight = 2;

    private readonly double[] _used = new double[((int)CheckpointReason.OutputEnd + 1) * Levels];
    private readonly double[] _lost = new double[((int)CheckpointReason.OutputEnd + 1) * Levels];

    /// <summary>Base-2 logarithm of the chance of another use. Before anything was seen, a guess that two outcomes outweigh.</summary>
    public double LogChance(CheckpointReason reason, int uses)
    {
        int cell = Cell(reason, uses);
        return Math.Log2((_used[cell] + (GuessWeight * Guess(reason))) / (_used[cell] + _lost[cell] + GuessWeight));
    }

    /// <summary>A checkpoint that had been used so often was used again.</summary>
    public void Used(CheckpointReason reason, int uses)
    {
        int cell = Cell(reason, uses);
        _used[cell]++;
        Fade(cell);
    }

    /// <summary>One was evicted.</summary>
    public void Evicted(CheckpointReason reason, int uses)
    {
        int cell = Cell(reason, uses);
        _lost[cell]++;
        Fade(cell);
    }

    /// <summary>One that was evicted would have been used now.</summary>
    public void Missed(CheckpointReason reason, int uses)
    {
        int cell = Cell(reason, uses);
        _lost[cell] = Math.Max(0, _lost[cell] - 1);
        _used[cell]++;
        Fade(cell);
    }

    private static double Guess(CheckpointReason reason) => reason switch
    {
        CheckpointReason.Interior or CheckpointReason.Turn => 0.1,
        CheckpointReason.OutputEnd => 0.3,
        _ => 0.5,
    };

    private static int Cell(CheckpointReason reason, int uses) => ((int)reason * Levels) + Math.Min(uses, Levels - 1);

    private void Fade(int cell)
    {
        if (_used[cell] + _lost[cell] < Memory)
            return;
        _used[cell] /= 2;
        _lost[cell] /= 2;
    }
}
