using Sluice.Backends;
using Sluice.Core;
using Sluice.Cuda.Memory;

namespace Sluice.Cuda.Operations;

/// <summary>
/// Gated DeltaNet over states in slots: single tokens in one launch or, beside longer spans, in three; long spans in chunks on matrix units.
/// </summary>
internal sealed unsafe class DeltaNet(Launcher launcher) : IDisposable
{
    /// <summary>Tokens of a chunk, of which the host makes the list.</summary>
    public const int ChunkTokens = 64;

    private const int ConvolutionThreads = 128;
    private const int MostKeyDim = 128;
    private const int MostCluster = 8;
    private const int ChunkDim = 128;   // of heads that are done in chunks
    private const int ChunkRatio = 8;   // value heads a key head, at most

    private readonly ScratchMemory _chunks = new("the delta rule's chunks", launcher.Stream);

    /// <summary>Refuses what the kernels cannot do.</summary>
    /// <exception cref="BackendException">The shape is beyond them.</exception>
    public static void Check(LinearAttentionConfig? shape)
    {
        if (shape is not null && (shape.KeyDim % 8 != 0 || shape.ValueDim % 8 != 0 || shape.KeyDim > MostKeyDim))
        {
            throw new BackendException(
                $"cuda: expected linear attention heads of a multiple of 8 elements, keys of at most {MostKeyDim}, found {shape.KeyDim} and {shape.ValueDim}; use --device cpu");
        }
    }

    /// <summary>Whether convolution, rule and norm of so many single tokens go in one launch.</summary>
    public static bool CanFuse(LinearAttentionConfig shape, int sequences) => ColumnsWhenFused(shape, sequences) > 0;

    public void Convolve(
        StepPointers step, DeviceStep lists, CudaActivation qkv, CudaVector weight, CudaStateCache states, int layer, CudaActivation mixed, int rows)
    {
        // Rows of a thread: more of them read fewer inputs twice, fewer fill the card; measured on an H100.
        int together = lists.Prefills.Count == 0 ? 1 : rows < 3000 ? 8 : 16;
        LinearAttentionConfig shape = states.Shape;
        int channels = shape.ConvChannels;
        int state = checked(shape.ValueHeads * shape.KeyDim * shape.ValueDim);
        StateMap map = states.Map;
        (ulong from, int fromStride, ulong weights) = (qkv.Address, qkv.Stride, weight.Address);
        (ulong to, int toStride) = (mixed.Address, mixed.Stride);
        launcher.Get(
                "causal_conv.cu", "causal_conv", () => [$"TAPS={shape.ConvKernel}", $"CHANNELS={channels}", $"STATE={state}", $"ROWS={together}"],
                shape.ConvKernel, channels, state, together)
            .Launch(
                launcher.Stream, (Launcher.CeilDiv(channels, 8 * ConvolutionThreads), Launcher.CeilDiv(rows, together), 1), ConvolutionThreads, 0,
                &step, &map, &layer, &from, &fromStride, &weights, &to, &toStride, &rows);
    }

    /// <summary>The delta rule alone, its inputs convolved.</summary>
    public void Run(
        StepPointers step, DeviceStep lists, CudaActivation mixed, CudaActivation b, CudaActivation a, CudaVector aLog, CudaVector dtBias,
        CudaStateCache states, int layer, CudaActivation o)
    {
        Gates gates = new(b, a, aLog, dtBias);
        LinearAttentionConfig shape = states.Shape;
        if (lists.Decodes.Count > 0)
            Decode(step, lists.Decodes, mixed, gates, states, layer, o);
        if (lists.Prefills.Count == 0)
            return;
        if (shape.KeyDim == ChunkDim && shape.ValueDim == ChunkDim && shape.ValueHeads / shape.KeyHeads <= ChunkRatio)
            InChunks(step, lists, mixed, gates, states, layer, o);
        else
            Recur(step, lists.Prefills, mixed, gates, states, layer, o);
    }

    /// <summary>Convolution, rule, norm and gate of spans of one token; only where <see cref="CanFuse"/>.</summary>
    public void Fused(
        StepPointers step, (ulong Address, int Count) spans, DeltaNetActivations x, DeltaNetVectors w, CudaStateCache states, int layer)
    {
        LinearAttentionConfig shape = states.Shape;
        int columns = ColumnsWhenFused(shape, spans.Count);
        int warps = columns == 128 ? 8 : 4;
        int cluster = shape.ValueHeads / shape.KeyHeads * shape.ValueDim / columns;
        StateMap map = states.Map;
        ulong list = spans.Address;
        Gates gates = new((CudaActivation)x.B, (CudaActivation)x.A, (CudaVector)w.ALog, (CudaVector)w.DtBias);
        (ulong from, int fromStride) = ((CudaActivation)x.Qkv).Place;
        (ulong z, int zStride) = ((CudaActivation)x.Z).Place;
        (ulong to, int toStride) = ((CudaActivation)x.Gated).Place;
        (ulong conv, ulong norm, float epsilon) = (((CudaVector)w.Conv).Address, ((CudaVector)w.Norm).Address, w.Epsilon);
        launcher.Get(
                "gated_delta_net_decode.cu", "gated_delta_net_decode",
                () => [.. Macros(shape), $"TAPS={shape.ConvKernel}", $"COLUMNS={columns}", $"WARPS={warps}"],
                Heads(shape), shape.KeyDim, shape.ValueDim, columns, shape.ConvKernel)
            .Launch(
                launcher.Stream, (shape.KeyHeads * cluster, spans.Count, 1), 32 * warps, 0,
                &step, &map, &layer, &list, &from, &fromStride, &conv, &gates.B, &gates.BStride, &gates.A, &gates.AStride, &gates.ALog, &gates.DtBias,
                &z, &zStride, &norm, &epsilon, &to, &toStride);
    }

    /// <inheritdoc/>
    public void Dispose() => _chunks.Dispose();

    // Few sequences: narrow columns, so that all multiprocessors have a part. 0: no width will do.
    private static int ColumnsWhenFused(LinearAttentionConfig shape, int sequences)
    {
        if (shape.ConvKernel < 2)
            return 0;
        foreach (int columns in (ReadOnlySpan<int>)(sequences < 16 ? [32, 64, 128] : [128, 64, 32]))
        {
            if (shape.ValueDim % columns == 0 && shape.ValueHeads / shape.KeyHeads * (shape.ValueDim / columns) <= MostCluster)
                return columns;
        }

        return 0;
    }

    private static int Heads(LinearAttentionConfig shape) => (shape.KeyHeads << 16) | shape.ValueHeads;

    private static string[] Macros(LinearAttentionConfig shape) =>
        [$"KEY_HEADS={shape.KeyHeads}", $"VALUE_HEADS={shape.ValueHeads}", $"KEY_DIM={shape.KeyDim}", $"VALUE_DIM={shape.ValueDim}"];

    private void Decode(
        StepPointers step, (ulong Address, int Count) spans, CudaActivation mixed, Gates gates, CudaStateCache states, int layer, CudaActivation o)
    {
        LinearAttentionConfig shape = states.Shape;
        int columns = spans.Count < 16 ? 32 : spans.Count < 64 ? 64 : 128;
        int warps = columns == 128 ? 8 : 4;
        StateMap map = states.Map;
        ulong list = spans.Address;
        (ulong from, int fromStride) = mixed.Place;
        (ulong to, int toStride) = o.Place;
        launcher.Get(
                "gated_delta_rule_decode.cu", "gated_delta_rule_decode", () => [.. Macros(shape), $"COLUMNS={columns}", $"WARPS={warps}"],
                Heads(shape), shape.KeyDim, shape.ValueDim, columns)
            .Launch(
                launcher.Stream, (shape.ValueHeads * Launcher.CeilDiv(shape.ValueDim, columns), spans.Count, 1), 32 * warps, 0,
                &step, &map, &layer, &list, &from, &fromStride, &gates.B, &gates.BStride, &gates.A, &gates.AStride, &gates.ALog, &gates.DtBias,
                &to, &toStride);
    }

    private void InChunks(
        StepPointers step, DeviceStep lists, CudaActivation mixed, Gates gates, CudaStateCache states, int layer, CudaActivation o)
    {
        LinearAttentionConfig shape = states.Shape;
        int ratio = shape.ValueHeads / shape.KeyHeads;

        // CHUNK_BYTES of gated_delta_rule_chunk.cuh, chunks_shared_bytes and scan_shared_bytes of the kernels.
        long chunkBytes = (shape.KeyHeads * 32768L) + (shape.ValueHeads * 11264L);
        ulong workspace = _chunks.Take(checked(lists.Chunks.Count * chunkBytes));
        int shared = Math.Max(32768, ratio * 11328) + (ratio * 512);
        StateMap map = states.Map;
        (ulong chunks, ulong ranges) = (lists.Chunks.Address, lists.Ranges);
        (ulong from, int fromStride) = mixed.Place;
        (ulong to, int toStride) = o.Place;
        launcher.Get("gated_delta_rule_chunks.cu", "gated_delta_rule_chunks", () => Macros(shape), Heads(shape)).Launch(
            launcher.Stream, (shape.KeyHeads, lists.Chunks.Count, 1), 128, shared,
            &step, &chunks, &from, &fromStride, &gates.B, &gates.BStride, &gates.A, &gates.AStride, &gates.ALog, &gates.DtBias, &workspace);

        // Blocks that outnumber the multiprocessors share them, so they take half the memory each.
        int blocks = shape.ValueHeads * 4;
        int stages = blocks * lists.Prefills.Count <= launcher.Device.Processors ? 4 : 2;
        launcher.Get("gated_delta_rule_scan.cu", "gated_delta_rule_scan", () => [.. Macros(shape), $"STAGES={stages}"], Heads(shape), stages).Launch(
            launcher.Stream, (blocks, lists.Prefills.Count, 1), 160, (stages * 49152) + 12416,
            &step, &map, &layer, &chunks, &ranges, &from, &fromStride, &workspace, &to, &toStride);
    }

    private void Recur(
        StepPointers step, (ulong Address, int Count) spans, CudaActivation mixed, Gates gates, CudaStateCache states, int layer, CudaActivation o)
    {
        LinearAttentionConfig shape = states.Shape;
        int threads = Math.Min(128, Launcher.CeilDiv(shape.ValueDim, 32) * 32);
        StateMap map = states.Map;
        ulong list = spans.Address;
        (ulong from, int fromStride) = mixed.Place;
        (ulong to, int toStride) = o.Place;
        launcher.Get(
                "gated_delta_rule_recurrent.cu", "gated_delta_rule_recurrent", () => Macros(shape), Heads(shape), shape.KeyDim, shape.ValueDim)
            .Launch(
                launcher.Stream, (shape.ValueHeads, Launcher.CeilDiv(shape.ValueDim, threads), spans.Count), threads, 0,
                &step, &map, &layer, &list, &from, &fromStride, &gates.B, &gates.BStride, &gates.A, &gates.AStride, &gates.ALog, &gates.DtBias,
                &to, &toStride);
    }

    /// <summary>What beta and the decay are made of; a struct on the stack, so that a launch may point into it.</summary>
    private struct Gates(CudaActivation b, CudaActivation a, CudaVector aLog, CudaVector dtBias)
    {
        public ulong B = b.Address;
        public ulong A = a.Address;
        public ulong ALog = aLog.Address;
        public ulong DtBias = dtBias.Address;
        public int BStride = b.Stride;
        public int AStride = a.Stride;
    }
}
