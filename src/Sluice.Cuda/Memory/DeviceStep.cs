using System.Runtime.InteropServices;
using Sluice.Backends;
using Sluice.Cuda.Driver;

namespace Sluice.Cuda.Memory;

/// <summary><c>Step</c> of sluice.cuh: where kernels find what a step computes.</summary>
internal readonly record struct StepPointers(
    ulong Tokens, ulong Positions, ulong Sequence, ulong Spans, ulong Pages, ulong Exports, ulong LogitRows, ulong Counts);

/// <summary>
/// What a step computes, on the card, at addresses that never change, so that graphs may hold them. One copy takes all of it across; several host
/// sides take turns, so that the next step can be prepared while this one runs. Recorded steps have a host side of their own, at one address, which their
/// first kernel reads.
/// </summary>
internal sealed unsafe class DeviceStep : IDisposable
{
    private const int Turns = 4;
    private const int CountFields = 8;
    private const int SpanFields = 8;
    private const int LeastTileTokens = 2;
    private const int LeastChunkTokens = 16;

    private readonly PinnedMemory _host;
    private readonly DeviceMemory _device;
    private readonly CudaEvent[] _sent = new CudaEvent[Turns + 1];
    private readonly List<(int Keys, int Span, int First)> _tiles = [];
    private readonly List<(int Tokens, int First, int Count)> _ranges = [];
    private readonly int[] _offsets = new int[(int)Part.Count + 1];
    private int _turn;
    private int _words;

    /// <summary>Allocates for steps of at most so much.</summary>
    public DeviceStep(int rows, int sequences, int pages, int exports, int updateInts)
    {
        Rows = rows;
        Sequences = sequences;
        PageEntries = pages;
        Exports = exports;
        UpdateInts = updateInts;
        Span<int> lengths =
        [
            CountFields, rows, rows, rows, rows, rows * 2, sequences * SpanFields, sequences, sequences * 2, exports * 2, sequences,
            MostTiles(rows, sequences) * 2, MostChunks(rows, sequences, exports) * 4, sequences * 2, updateInts, pages,
        ];
        for (int i = 0; i < lengths.Length; i++)
            _offsets[i + 1] = _offsets[i] + ((Math.Max(1, lengths[i]) + 3) / 4 * 4);
        long bytes = _offsets[^1] * (long)sizeof(int);
        _host = new PinnedMemory(bytes * (Turns + 1));
        _device = new DeviceMemory(bytes, "a step's batch");
        for (int i = 0; i < _sent.Length; i++)
            _sent[i] = new CudaEvent();
    }

    /// <summary>
    /// The parts of the block, in order: before <see cref="Exports"/> what recorded steps want; the last is of variable length and only what is used of it
    /// is copied.
    /// </summary>
    private enum Part
    {
        Counts, Tokens, Positions, Sequence, LogitRows, Asked, Spans, Decodes, Items, Exports, Prefills, Tiles, Chunks, Ranges, Updates, Pages, Count,
    }

    public int Rows { get; }

    public int Sequences { get; }

    public int PageEntries { get; }

    public int Exports { get; }

    public int UpdateInts { get; }

    public StepPointers Pointers => new(
        At(Part.Tokens), At(Part.Positions), At(Part.Sequence), At(Part.Spans), At(Part.Pages), At(Part.Exports), At(Part.LogitRows), At(Part.Counts));

    /// <summary>What is asked of rows of logits: pairs of temperature and uniform number.</summary>
    public ulong Asked => At(Part.Asked);

    /// <summary>What the shortlists' kernel says when they are there.</summary>
    public ulong Stamp => At(Part.Counts) + (4 * sizeof(int));

    /// <summary>For fetch_step.cu: the host side of recorded steps, the card's, words at its beginning, where pages begin, and how many there may be.</summary>
    public (ulong Host, ulong Device, int Fixed, int Pages, int PageEntries) Fetched => (
        (ulong)_host.Address + ((ulong)Turns * (ulong)_offsets[^1] * sizeof(int)), _device.Address, _offsets[(int)Part.Exports], _offsets[(int)Part.Pages], PageEntries);

    /// <summary>Indices of spans of one token, and how many.</summary>
    public (ulong Address, int Count) Decodes => (At(Part.Decodes), DecodeCount);

    /// <summary>The same for attention: (span, first token 0).</summary>
    public ulong Items => At(Part.Items);

    /// <summary>Indices of longer spans.</summary>
    public (ulong Address, int Count) Prefills => (At(Part.Prefills), PrefillCount);

    /// <summary>Pieces of longer spans for attention, (span, first token of it), those that see most keys first.</summary>
    public (ulong Address, int Count) Tiles => (At(Part.Tiles), TileCount);

    /// <summary>Pieces of longer spans for the delta rule: (span, first token of it, tokens, slot to export to or -1).</summary>
    public (ulong Address, int Count) Chunks => (At(Part.Chunks), ChunkCount);

    /// <summary>The chunks of each longer span, (first chunk, count), long spans first: as many as <see cref="Prefills"/>.</summary>
    public ulong Ranges => At(Part.Ranges);

    /// <summary>New places of state slots, and how many.</summary>
    public (ulong Address, int Count) Updates => (At(Part.Updates), UpdateCount);

    private int DecodeCount { get; set; }

    private int PrefillCount { get; set; }

    private int TileCount { get; set; }

    private int ChunkCount { get; set; }

    private int UpdateCount { get; set; }

    /// <summary>Whether a batch fits.</summary>
    public bool Holds(StepBatch batch, int pages, int updateInts) =>
        batch.TokenCount <= Rows && batch.Sequences.Length <= Sequences && pages <= PageEntries && batch.Exports.Length <= Exports && updateInts <= UpdateInts;

    /// <summary>KV pages the spans of a batch need, one table behind another.</summary>
    public static int PagesOf(StepBatch batch)
    {
        int pages = 0;
        foreach (SequenceSpan span in batch.Sequences)
            pages += PagesOf(span);
        return pages;
    }

    /// <summary>Writes a batch down on the host. Padding gets no tokens, and kernels pass over it.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="stamp">What the shortlists' kernel is to say.</param>
    /// <param name="moved">Whose state slots may have new places.</param>
    /// <param name="work">How long spans are cut.</param>
    /// <param name="isFetched">Whether a kernel of the step itself will fetch it: then <see cref="Fetching"/> follows, else <see cref="Copy"/>.</param>
    public void Write(StepBatch batch, int stamp, CudaCacheArena? moved, WorkShape work, bool isFetched)
    {
        _turn = isFetched ? Turns : (_turn + 1) % Turns;
        _sent[_turn].Wait();
        batch.Tokens.CopyTo(To(Part.Tokens, batch.TokenCount));
        batch.Positions.CopyTo(To(Part.Positions, batch.TokenCount));
        batch.LogitRows.CopyTo(To(Part.LogitRows, batch.LogitRows.Length));
        MemoryMarshal.Cast<StateExport, int>(batch.Exports).CopyTo(To(Part.Exports, batch.Exports.Length * 2));
        Span<int> counts = To(Part.Counts, CountFields);
        counts[0] = batch.TokenCount;
        counts[1] = batch.Sequences.Length;
        counts[2] = batch.Exports.Length;
        counts[3] = batch.LogitRows.Length;
        counts[4] = stamp;
        Ask(batch);
        counts[5] = _words = _offsets[(int)Part.Pages] + Spans(batch, work);
        Update(moved);
    }

    /// <summary>Queues the copy of what was written.</summary>
    public void Copy(CudaStream stream)
    {
        int* host = (int*)_host.Address + ((long)_turn * _offsets[^1]);
        CudaStatus.Check(DriverApi.CopyToDevice(_device.Address, host, (nuint)_words * sizeof(int), stream.Handle), "copying a step's batch");
        _sent[_turn].Record(stream);
    }

    /// <summary>The step that fetches what was written has been queued.</summary>
    public void Fetching(CudaStream stream) => _sent[Turns].Record(stream);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (CudaEvent sent in _sent)
        {
            sent.Wait();
            sent.Dispose();
        }

        _device.Dispose();
        _host.Dispose();
    }

    private static int PagesOf(SequenceSpan span) => span.IsPadding
        ? 0
        : (span.FirstPosition + span.Count + KvCache.PageTokens - 1) / KvCache.PageTokens;

    // Every piece but a span's last has so many tokens at least, or ends at an export.
    private static int MostTiles(int rows, int sequences) => (rows / LeastTileTokens) + sequences;

    private static int MostChunks(int rows, int sequences, int exports) => (rows / LeastChunkTokens) + sequences + exports;

    // Rows that nothing is asked of, padding among them, have neither temperature nor draw.
    private void Ask(StepBatch batch)
    {
        Span<float> asked = MemoryMarshal.Cast<int, float>(To(Part.Asked, batch.LogitRows.Length * 2));
        ReadOnlySpan<float> wanted = batch.Shortlists is { } lists ? MemoryMarshal.Cast<byte, float>(lists.Asked) : [];
        wanted.CopyTo(asked);
        for (int row = wanted.Length / 2; row < batch.LogitRows.Length; row++)
            (asked[2 * row], asked[(2 * row) + 1]) = (0, -1);
    }

    private int Spans(StepBatch batch, WorkShape work)
    {
        Span<int> spans = To(Part.Spans, batch.Sequences.Length * SpanFields);
        Span<int> sequence = To(Part.Sequence, batch.TokenCount);
        Span<int> tables = To(Part.Pages, PageEntries);
        Span<int> decodes = To(Part.Decodes, Sequences);
        Span<int> items = To(Part.Items, Sequences * 2);
        Span<int> prefills = To(Part.Prefills, Sequences);
        _tiles.Clear();
        _ranges.Clear();
        (DecodeCount, PrefillCount, TileCount, ChunkCount) = (0, 0, 0, 0);
        int pages = 0;
        for (int i = 0; i < batch.Sequences.Length; i++)
        {
            SequenceSpan span = batch.Sequences[i];
            int needed = PagesOf(span);
            ReadOnlySpan<int> fields =
                [span.FirstRow, span.IsPadding ? 0 : span.Count, span.FirstPosition, span.StateSlot, pages, span.FirstExport, span.ExportCount, 0];
            fields.CopyTo(spans[(i * SpanFields)..]);
            sequence.Slice(span.FirstRow, span.Count).Fill(i);
            span.PageTable.AsSpan(0, needed).CopyTo(tables[pages..]);
            pages += needed;
            if (span.Count == 1)
            {
                items[2 * DecodeCount] = i;
                items[(2 * DecodeCount) + 1] = 0;
                decodes[DecodeCount++] = i;
                continue;
            }

            prefills[PrefillCount++] = i;
            Cut(batch, span, i, work);
        }

        Sort();
        return pages;
    }

    // Long ones first, so that the last blocks to finish have little left.
    private void Sort()
    {
        _ranges.Sort(static (a, b) => b.Tokens.CompareTo(a.Tokens));
        Span<int> ranges = To(Part.Ranges, _ranges.Count * 2);
        for (int i = 0; i < _ranges.Count; i++)
            (ranges[2 * i], ranges[(2 * i) + 1]) = (_ranges[i].First, _ranges[i].Count);
        _tiles.Sort(static (a, b) => b.Keys.CompareTo(a.Keys));
        Span<int> tiles = To(Part.Tiles, _tiles.Count * 2);
        foreach ((_, int span, int first) in _tiles)
        {
            tiles[2 * TileCount] = span;
            tiles[(2 * TileCount++) + 1] = first;
        }
    }

    private void Cut(StepBatch batch, SequenceSpan span, int index, WorkShape work)
    {
        for (int first = 0; first < span.Count; first += work.TileTokens)
            _tiles.Add((span.FirstPosition + Math.Min(first + work.TileTokens, span.Count), index, first));

        Span<int> chunks = To(Part.Chunks, _offsets[(int)Part.Ranges] - _offsets[(int)Part.Chunks]);
        int firstChunk = ChunkCount;
        ReadOnlySpan<StateExport> exports = batch.Exports.Slice(span.FirstExport, span.ExportCount);
        for (int first = 0; first < span.Count;)
        {
            // A chunk ends where a state is wanted.
            int end = Math.Min(span.Count, first + work.ChunkTokens);
            int slot = -1;
            if (!exports.IsEmpty && exports[0].Length <= end)
            {
                end = exports[0].Length;
                slot = exports[0].Slot;
                exports = exports[1..];
            }

            ReadOnlySpan<int> chunk = [index, first, end - first, slot];
            chunk.CopyTo(chunks[(4 * ChunkCount++)..]);
            first = end;
        }

        _ranges.Add((span.Count, firstChunk, ChunkCount - firstChunk));
    }

    private void Update(CudaCacheArena? arena)
    {
        UpdateCount = 0;
        if (arena is null)
            return;
        Span<int> updates = To(Part.Updates, UpdateInts);
        foreach (int slot in arena.Moved)
        {
            ReadOnlySpan<int> superblocks = arena.SuperblocksOf(slot);
            updates[0] = slot;
            superblocks.CopyTo(updates[1..]);
            updates = updates[(1 + superblocks.Length)..];
            UpdateCount++;
        }

        arena.Told();
    }

    private ulong At(Part part) => _device.Address + ((ulong)_offsets[(int)part] * sizeof(int));

    private Span<int> To(Part part, int length) =>
        new((int*)_host.Address + ((long)_turn * _offsets[^1]) + _offsets[(int)part], length);
}

/// <summary>How kernels want long spans cut.</summary>
/// <param name="TileTokens">Tokens of an attention tile.</param>
/// <param name="ChunkTokens">Tokens of a chunk of the delta rule.</param>
internal readonly record struct WorkShape(int TileTokens, int ChunkTokens);
