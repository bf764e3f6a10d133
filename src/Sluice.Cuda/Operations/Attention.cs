using Sluice.Backends;
using Sluice.Backends.Reference;
using Sluice.Core;
using Sluice.Cuda.Driver;
using Sluice.Cuda.Memory;

namespace Sluice.Cuda.Operations;

/// <summary>Full attention over pages: what comes before it, spans of one token, and longer ones.</summary>
internal sealed unsafe class Attention : IDisposable
{
    private const int MaxItems = 256;
    private const int DecodeWarps = 4;
    private const int MostHeadDim = 256;

    private readonly Launcher _launcher;
    private readonly Dictionary<(double Theta, int Dim), DeviceMemory> _frequencies = [];
    private readonly DeviceMemory _counters;
    private readonly ScratchMemory _partial;

    public Attention(Launcher launcher)
    {
        _launcher = launcher;
        _partial = new ScratchMemory("partial attention", launcher.Stream);
        _counters = new DeviceMemory(MaxItems * 64L * 8 * sizeof(uint), "attention");
        _counters.Fill(0, launcher.Stream);
    }

    /// <summary>Query tokens of a prefill tile, of which the host makes the list.</summary>
    public static int TileTokens(AttentionConfig shape) => 128 / Group(shape);

    /// <summary>Refuses what the kernels cannot do.</summary>
    /// <exception cref="BackendException">The shape is beyond them.</exception>
    public static void Check(CacheShape shape)
    {
        if (shape.KvLayers > 0 && (shape.HeadDim % 8 != 0 || shape.HeadDim > MostHeadDim))
            throw new BackendException($"cuda: expected heads of a multiple of 8 elements up to {MostHeadDim}, found {shape.HeadDim}; use --device cpu");
    }

    public void NormRopeStore(
        StepPointers step, AttentionConfig shape, CudaActivation q, CudaActivation k, CudaActivation v, CudaVector qNorm, CudaVector kNorm, float epsilon,
        CudaKvCache kv, int layer, int rows)
    {
        int padded = (shape.HeadDim + 63) / 64 * 64;
        int lanes = padded <= 64 ? 8 : padded <= 128 ? 16 : 32;
        int threads = Math.Min(1024, Launcher.CeilDiv((shape.QueryHeads + (2 * shape.KvHeads)) * lanes, 32) * 32);
        PageMap pages = kv.Map;
        (ulong qAt, int qStride, ulong kAt, int kStride) = (q.Address, q.Stride, k.Address, k.Stride);
        (ulong vAt, int vStride, ulong qWeight, ulong kWeight) = (v.Address, v.Stride, qNorm.Address, kNorm.Address);
        ulong frequencies = Frequencies(shape);
        _launcher.Get(
                "qk_norm_rope_store.cu", "qk_norm_rope_store",
                () => [$"HEAD_DIM={shape.HeadDim}", $"QUERY_HEADS={shape.QueryHeads}", $"KV_HEADS={shape.KvHeads}", $"ROTARY_DIM={shape.RotaryDim}"],
                shape.HeadDim, shape.QueryHeads, shape.KvHeads, shape.RotaryDim)
            .Launch(
                _launcher.Stream, (rows, 1, 1), threads, 0,
                &step, &pages, &layer, &qAt, &qStride, &kAt, &kStride, &vAt, &vStride, &qWeight, &kWeight, &frequencies, &epsilon);
    }

    public void Run(
        StepPointers step, DeviceStep lists, AttentionConfig shape, CudaActivation q, CudaActivation? gate, CudaKvCache kv, int layer, CudaActivation y)
    {
        if (lists.Decodes.Count > 0)
            Decode(step, lists, shape, q, gate, kv, layer, y);
        if (lists.Tiles.Count > 0)
            Prefill(step, lists, shape, q, gate, kv, layer, y);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (DeviceMemory frequencies in _frequencies.Values)
            frequencies.Dispose();
        _partial.Dispose();
        _counters.Dispose();
    }

    private static int Group(AttentionConfig shape) => shape.QueryHeads / shape.KvHeads;

    private void Decode(
        StepPointers step, DeviceStep lists, AttentionConfig shape, CudaActivation q, CudaActivation? gate, CudaKvCache kv, int layer, CudaActivation y)
    {
        int group = Group(shape);
        int tiles = group > 8 ? 2 : 1;
        int dim = shape.HeadDim;
        int hasGate = gate is null ? 0 : 1;
        PageMap pages = kv.Map;
        (ulong qAt, int qStride, ulong gateAt, int gateStride) = (q.Address, q.Stride, gate?.Address ?? 0, gate?.Stride ?? 0);
        (ulong yAt, int yStride, ulong counters) = (y.Address, y.Stride, _counters.Address);
        int units = 8 * tiles * dim / 8;
        for (int first = 0; first < lists.Decodes.Count; first += MaxItems)
        {
            int items = Math.Min(MaxItems, lists.Decodes.Count - first);
            ulong list = lists.Items + ((ulong)first * 8);
            (Kernel kernel, int cluster, int workers) = DecodeKernel(shape, items * shape.KvHeads, tiles, hasGate);
            ulong partial = _partial.Take(2L * workers * units * 12 * sizeof(float));
            kernel.Launch(
                _launcher.Stream, (cluster * workers, 1, 1), DecodeWarps * 32, DecodeSharedBytes(dim, tiles),
                &step, &pages, &layer, &list, &items, &qAt, &qStride, &gateAt, &gateStride, &yAt, &yStride, &partial, &counters);
        }
    }

    /// <summary>
    /// Large clusters share the work on few sequences; those of eight want twice as many places as there are pairs of sequence and KV head, to balance.
    /// Measured on an H200.
    /// </summary>
    private (Kernel Kernel, int Cluster, int Workers) DecodeKernel(AttentionConfig shape, int pairs, int tiles, int hasGate)
    {
        foreach ((int cluster, int placesOfPair) in (ReadOnlySpan<(int, int)>)[(8, 2), (4, 1), (2, 1)])
        {
            // At most so many fit: no need to compile what cannot.
            if (2 * _launcher.Device.Processors / cluster < placesOfPair * pairs)
                continue;
            (Kernel kernel, int workers) = Of(cluster);
            if (workers >= placesOfPair * pairs)
                return (kernel, cluster, workers);
        }

        (Kernel alone, int blocks) = Of(1);
        return (alone, 1, blocks);

        (Kernel, int) Of(int cluster)
        {
            Kernel kernel = _launcher.Get(
                "attention_decode.cu", "attention_decode",
                () => [.. Shape(shape), $"Q_TILES={tiles}", $"CLUSTER={cluster}", $"HAS_GATE={hasGate}", $"MAX_ITEMS={MaxItems}"],
                shape.HeadDim, shape.KvHeads, Group(shape), cluster, hasGate);
            return (kernel, kernel.Resident(cluster, DecodeWarps * 32, DecodeSharedBytes(shape.HeadDim, tiles), _launcher.Device.Processors));
        }
    }

    private void Prefill(
        StepPointers step, DeviceStep lists, AttentionConfig shape, CudaActivation q, CudaActivation? gate, CudaKvCache kv, int layer, CudaActivation y)
    {
        int dim = shape.HeadDim;
        int hasGate = gate is null ? 0 : 1;
        PageMap pages = kv.Map;
        (ulong qAt, int qStride, ulong gateAt, int gateStride) = (q.Address, q.Stride, gate?.Address ?? 0, gate?.Stride ?? 0);
        (ulong yAt, int yStride, ulong tiles, int count) = (y.Address, y.Stride, lists.Tiles.Address, lists.Tiles.Count);
        int width = (dim + 63) / 64 * 64;
        int keys = dim > 128 ? 80 : 128;
        int shared = (256 * width) + (8 * keys * width) + 64;
        int grid = Math.Min(_launcher.Device.Processors, count * shape.KvHeads);
        _launcher.Get(
                "attention_prefill.cu", "attention_prefill", () => [.. Shape(shape), $"HAS_GATE={hasGate}"],
                dim, shape.KvHeads, Group(shape), hasGate)
            .Launch(
                _launcher.Stream, (grid, 1, 1), 384, shared,
                &step, &pages, &layer, &tiles, &count, &qAt, &qStride, &gateAt, &gateStride, &yAt, &yStride);
    }

    private static string[] Shape(AttentionConfig shape) => [$"HEAD_DIM={shape.HeadDim}", $"KV_HEADS={shape.KvHeads}", $"GROUP={Group(shape)}"];

    // decode_shared_bytes of attention_decode.cu
    private static int DecodeSharedBytes(int dim, int tiles)
    {
        int parts = (dim + 63) / 64;
        int stages = parts > 2 ? 1 : 4 / parts;
        int rows = 8 * tiles;
        return (8 * stages * 2048 * parts) + (16 * rows * ((16 * ((dim + 15) / 16)) + 4)) + (40 * rows) + (64 * stages) + 16 + (16 * MaxItems) + (4 * (MaxItems + 1));
    }

    private ulong Frequencies(AttentionConfig shape)
    {
        if (_frequencies.TryGetValue((shape.RopeTheta, shape.RotaryDim), out DeviceMemory? known))
            return known.Address;
        float[] values = RotaryEmbedding.Frequencies(shape.RopeTheta, shape.RotaryDim);
        DeviceMemory memory = new(Math.Max(1, values.Length) * sizeof(float), "rotary frequencies");
        fixed (float* from = values)
        {
            CudaStatus.Check(DriverApi.CopyToDevice(memory.Address, from, (nuint)values.Length * sizeof(float), _launcher.Stream.Handle), "copying frequencies");
            _launcher.Stream.Synchronise("copying frequencies");
        }

        _frequencies.Add((shape.RopeTheta, shape.RotaryDim), memory);
        return memory.Address;
    }
}
