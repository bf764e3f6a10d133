using System.Diagnostics;
using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu.Kernels;
using Sluice.Cpu.Memory;
using Sluice.Cpu.Threading;

namespace Sluice.Cpu.Operations;

/// <summary>
/// Causal grouped-query attention over pages. The query heads of a group and a few neighbouring tokens make a tile, which reads the keys
/// and values of their head once. Keys are taken in segments of 1024 positions, each a softmax of its own, merged in order: with few
/// tiles, as in decoding, segments are items that threads share; with many, a tile walks its segments. The arithmetic is the same. Fast products over keys
/// and values in BF16 round queries and weights to BF16 too.
/// </summary>
internal sealed unsafe class Attention(WorkerPool pool, KernelSet kernels) : ParallelWork, IDisposable
{
    private const int SegmentKeys = 1024;
    private const int TileRows = 64;

    private readonly MergeWork _merge = new(pool, kernels);
    private readonly Scratch _memory = new("attention tiles");
    private readonly List<TileSpan> _tiles = [];
    private StepBatch _batch = null!;
    private AttentionConfig _shape = null!;
    private CpuActivation _q = null!;
    private CpuActivation? _gate;
    private CpuActivation _y = null!;
    private CpuKvCache _kv = null!;
    private byte* _tileMemory;
    private long _tileBytes;
    private int _layer;
    private int _segments;
    private bool _isRounded;

    public void Run(StepBatch batch, AttentionConfig shape, CpuActivation q, CpuActivation? gate, CpuKvCache kv, int layer, CpuActivation y)
    {
        Debug.Assert(q.Width == shape.QueryHeads * shape.HeadDim && y.Width == q.Width, "a row of query heads");
        Debug.Assert(gate is null || gate.Width == q.Width, "a gate for each query");
        (_batch, _shape, _q, _gate, _kv, _layer, _y) = (batch, shape, q, gate, kv, layer, y);
        int longest = CutIntoTiles();
        int items = _tiles.Count * shape.KvHeads;
        int segments = (longest + SegmentKeys - 1) / SegmentKeys;
        _isRounded = kv.Type == KvDtype.BF16 && kernels.Precision == ActivationPrecision.Fast;
        _tileBytes = (AttentionTile.BytesOf(MaxRows, kv, _isRounded) + 63) / 64 * 64;

        bool shared = segments > 1 && items < 4 * pool.Threads;
        _segments = shared ? segments : 1;
        _tileMemory = _memory.Take<byte>(_tileBytes * (shared ? items * (long)segments : 2L * pool.Threads));
        pool.Run(this, items * _segments);
        if (shared)
            _merge.Run(this, items);
    }

    public override void Execute(int item, int thread)
    {
        (int tileAndHead, int segment) = Math.DivRem(item, _segments);
        (TileSpan span, int head) = Find(tileAndHead);
        if (_segments > 1)
        {
            // A tile that ends before this segment leaves a mark of emptiness for the merge.
            AttentionTile part = Prepare(TileAt(item), span, head);
            Attend(part, span, head, segment);
            return;
        }

        AttentionTile tile = Prepare(TileAt(2 * thread), span, head);
        Attend(tile, span, head, 0);
        for (segment = 1; segment * SegmentKeys <= tile.Positions[tile.Rows - 1]; segment++)
        {
            AttentionTile later = Prepare(TileAt((2 * thread) + 1), span, head);
            Attend(later, span, head, segment);
            kernels.MergeAttention(tile, later);
        }

        Finish(tile, span, head);
    }

    public void Dispose() => _memory.Dispose();

    private int Group => _shape.QueryHeads / _shape.KvHeads;

    private int TokensOfTile => Math.Max(1, TileRows / Group);

    private int MaxRows => TokensOfTile * Group;

    /// <summary>Cuts sequences into tiles, the last tokens first, since they have the most keys; returns the longest sequence's keys.</summary>
    private int CutIntoTiles()
    {
        _tiles.Clear();
        int longest = 0;
        for (int i = 0; i < _batch.Sequences.Length; i++)
        {
            SequenceSpan sequence = _batch.Sequences[i];
            longest = Math.Max(longest, sequence.FirstPosition + sequence.Count);
            for (int first = (sequence.Count - 1) / TokensOfTile * TokensOfTile; first >= 0; first -= TokensOfTile)
                _tiles.Add(new TileSpan(i, first, Math.Min(TokensOfTile, sequence.Count - first)));
        }

        return longest;
    }

    private (TileSpan Span, int Head) Find(int tileAndHead) => (_tiles[tileAndHead / _shape.KvHeads], tileAndHead % _shape.KvHeads);

    private AttentionTile TileAt(long index) =>
        AttentionTile.In(_tileMemory + (index * _tileBytes), MaxRows, _kv, _isRounded);

    /// <summary>Points a tile at its queries: token after token, the heads of the group within.</summary>
    private AttentionTile Prepare(AttentionTile tile, TileSpan span, int head)
    {
        SequenceSpan sequence = _batch.Sequences[span.Sequence];
        for (int token = span.FirstToken; token < span.FirstToken + span.Tokens; token++)
        {
            for (int i = 0; i < Group; i++)
            {
                tile.Positions[tile.Rows] = sequence.FirstPosition + token;
                tile.Queries[tile.Rows++] = _q.Row(sequence.FirstRow + token) + (((head * Group) + i) * _shape.HeadDim);
            }
        }

        kernels.BeginAttention(tile);
        return tile;
    }

    /// <summary>Takes the keys of a segment, as far as the tile's last row sees them.</summary>
    private void Attend(in AttentionTile tile, TileSpan span, int head, int segment)
    {
        const int Pages = AttentionTile.BlockPages;
        int[] pageTable = _batch.Sequences[span.Sequence].PageTable;
        int end = Math.Min((segment + 1) * SegmentKeys, tile.Positions[tile.Rows - 1] + 1);
        byte** keys = stackalloc byte*[Pages];
        byte** nextKeys = stackalloc byte*[Pages];
        int position = segment * SegmentKeys;
        int pages = Find(pageTable, head, position, end, nextKeys);
        while (pages > 0)
        {
            for (int i = 0; i < Pages; i++)
                keys[i] = nextKeys[i];

            // The last block has no next: it fetches what it has.
            int nextPages = Find(pageTable, head, position + AttentionTile.BlockKeys, end, nextKeys);
            kernels.AttendBlock(tile, position, keys, pages, nextKeys);
            position += AttentionTile.BlockKeys;
            pages = nextPages;
        }
    }

    /// <summary>Finds the keys of the block at a position, as far as they come before <paramref name="end"/>; returns the pages found.</summary>
    private int Find(int[] pageTable, int head, int position, int end, byte** keys)
    {
        int pages = 0;
        for (int at = position; pages < AttentionTile.BlockPages && at < end; at += KvCache.PageTokens)
            keys[pages++] = _kv.Keys(_layer, pageTable[at / KvCache.PageTokens], head);
        return pages;
    }

    private void Finish(in AttentionTile tile, TileSpan span, int head)
    {
        int firstRow = _batch.Sequences[span.Sequence].FirstRow + span.FirstToken;
        for (int row = 0; row < tile.Rows; row++)
        {
            int column = ((head * Group) + (row % Group)) * _shape.HeadDim;
            int to = firstRow + (row / Group);
            kernels.FinishAttention(tile, row, _gate is null ? null : _gate.Row(to) + column, _y.Row(to) + column);
        }
    }

    /// <summary>Neighbouring tokens of a sequence.</summary>
    private readonly record struct TileSpan(int Sequence, int FirstToken, int Tokens);

    /// <summary>Merges the segments of each tile, when threads have shared them.</summary>
    private sealed class MergeWork(WorkerPool pool, KernelSet kernels) : ParallelWork
    {
        private Attention _attention = null!;

        public void Run(Attention attention, int items)
        {
            _attention = attention;
            pool.Run(this, items);
        }

        public override void Execute(int item, int thread)
        {
            (TileSpan span, int head) = _attention.Find(item);
            int rows = span.Tokens * _attention.Group;
            long first = item * (long)_attention._segments;
            AttentionTile tile = _attention.TileAt(first) with { Rows = rows };
            for (int segment = 1; segment < _attention._segments; segment++)
                kernels.MergeAttention(tile, _attention.TileAt(first + segment) with { Rows = rows });
            _attention.Finish(tile, span, head);
        }
    }
}
