using Sluice.Backends;
using Sluice.Cuda.Driver;

namespace Sluice.Cuda;

/// <summary>
/// Recorded steps of one token a sequence, for a ladder of batch sizes. A batch in between is filled up with rows that belong to nobody: kernels find
/// no tokens in them, read no state and write none.
/// </summary>
internal sealed class StepGraphs(CudaStream stream) : IDisposable
{
    private static readonly int[] Ladder = [1, 2, 4, 8, 12, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256];

    // With shortlists or without.
    private readonly Dictionary<(int Rows, bool Shortlists), CudaGraph> _graphs = [];
    private readonly HashSet<(int, bool)> _seen = [];
    private readonly StepBatch _padded = new(256);

    /// <summary>
    /// The batch filled up to the next size of the ladder; null when it is not one that is recorded: it has longer spans, exports, rows that want no
    /// logits, or more rows than <paramref name="mostRows"/> would hold.
    /// </summary>
    public StepBatch? Pad(StepBatch batch, int mostRows)
    {
        int rows = batch.TokenCount;
        if (rows > Ladder[^1] || batch.Sequences.Length != rows || batch.LogitRows.Length != rows || batch.Exports.Length > 0)
            return null;
        int index = Array.BinarySearch(Ladder, rows);
        int size = Ladder[index >= 0 ? index : ~index];
        if (size > mostRows)
            return null;
        _padded.Clear();
        foreach (SequenceSpan span in batch.Sequences)
            _ = _padded.Add(batch.Tokens.Slice(span.FirstRow, 1), span.FirstPosition, span.StateSlot, span.PageTable, LogitsWanted.Last);
        for (int i = rows; i < size; i++)
            _padded.AddPadding();
        _padded.Shortlists = batch.Shortlists;
        return _padded;
    }

    /// <summary>
    /// Runs a padded batch, which <paramref name="fetch"/> brings to the card: the first time as it is, the second time recording, then from the record.
    /// </summary>
    public void Run(StepBatch batch, Action fetch, Action<StepBatch> operations)
    {
        (int, bool) size = (batch.TokenCount, batch.Shortlists is not null);
        if (_graphs.TryGetValue(size, out CudaGraph? graph))
        {
            graph.Launch(stream);
            return;
        }

        // The first run compiles kernels and allocates scratch memory, neither of which may happen while recording.
        if (_seen.Add(size))
        {
            Queue();
            return;
        }

        graph = stream.Capture(Queue);
        _graphs.Add(size, graph);
        graph.Launch(stream);

        void Queue()
        {
            fetch();
            operations(batch);
        }
    }

    /// <summary>Forgets all records: addresses have changed.</summary>
    public void Clear()
    {
        foreach (CudaGraph graph in _graphs.Values)
            graph.Dispose();
        _graphs.Clear();
        _seen.Clear();
    }

    /// <inheritdoc/>
    public void Dispose() => Clear();
}
