using Sluice.Cuda.Driver;
using Sluice.Cuda.Memory;

namespace Sluice.Cuda.Operations;

/// <summary>
/// Routing, its sorting by expert on the card, and the experts themselves: one persistent kernel for both products, then the weighted sums.
/// </summary>
internal sealed unsafe class MixtureOfExperts : IDisposable
{
    private const int Threads = 256;
    private const int WarpsOfRoute = 8;
    private const int ChunkRows = 256; // CHUNK of route.cu

    private readonly Launcher _launcher;
    private readonly DeviceMemory _arrivals;
    private readonly ScratchMemory _scratch;

    public MixtureOfExperts(Launcher launcher)
    {
        _launcher = launcher;
        _scratch = new ScratchMemory("the experts' inner activations", launcher.Stream);
        _arrivals = new DeviceMemory(16, "routing");
        _arrivals.Fill(0, launcher.Stream);
    }

    /// <summary>Bytes of what sorting leaves behind for <paramref name="rows"/> rows: sorted, plan, ready, counts.</summary>
    public static long PlanBytes(int rows, int topK) => Layout.Of(rows, topK).Bytes;

    public void Route(CudaActivation logits, bool normalise, CudaRouting routing, int rows)
    {
        int experts = logits.Width;
        int topK = routing.TopK;
        routing.ExpertCount = experts;
        Layout layout = Layout.Of(routing.Rows, topK);
        (ulong from, int stride) = (logits.Address, logits.Stride);
        (ulong ids, ulong weights) = (routing.Experts, routing.Weights);
        (ulong sorted, ulong plan, ulong ready) = (routing.Plan, routing.Plan + layout.Plan, routing.Plan + layout.Ready);
        ulong arrivals = _arrivals.Address;
        int tileRows = Variant.For(rows, topK, experts, routing.InnerWidth).Tile;
        routing.TileRows = tileRows;
        int flag = normalise ? 1 : 0;
        _launcher.Get("route.cu", "route", () => Macros(routing, normalise), experts, topK, flag).Launch(
            _launcher.Stream, (Launcher.CeilDiv(rows, WarpsOfRoute), 1, 1), Threads, 0,
            &from, &stride, &ids, &weights, &sorted, &plan, &ready, &arrivals, &rows, &tileRows);
        if (rows > ChunkRows)
            Align(routing, normalise, rows);
    }

    /// <summary>The chosen experts' weighted sum and, if there is one, the shared expert's result times its gate, which is float32.</summary>
    public void Experts(
        CudaActivation x, CudaRouting routing, CudaExperts experts, CudaActivation? shared, CudaActivation? gate, CudaActivation y, int rows)
    {
        int topK = routing.TopK;
        (int hidden, int inner) = (experts.Hidden, experts.Inner);
        Variant variant = Variant.For(rows, topK, experts.Count, inner);
        Layout layout = Layout.Of(routing.Rows, topK);
        routing.InnerWidth = inner;
        if (routing.TileRows != variant.Tile)
        {
            // Only at the first step: from then on routing knows the experts' width.
            routing.TileRows = variant.Tile;
            Align(routing, normalise: true, rows);
        }

        ulong scratch = _scratch.Take((long)routing.Rows * topK * (hidden + inner) * 2);
        ulong results = scratch;
        ulong innerAt = scratch + ((ulong)routing.Rows * (ulong)topK * (ulong)hidden * 2);
        (ulong from, int fromStride) = (x.Address, x.Stride);
        (ulong sorted, ulong plan, ulong ready) = (routing.Plan, routing.Plan + layout.Plan, routing.Plan + layout.Ready);
        (ulong gateUp, ulong down) = (experts.GateUp, experts.Down);
        int phases = 3;
        _launcher.Get(
                "experts.cu", "experts",
                () =>
                [
                    $"HIDDEN={hidden}", $"INNER={inner}", $"TOP_K={topK}", $"CONSUMERS={variant.Consumers}", $"GROUPS={variant.Groups}",
                    $"TILE={variant.Tile}", $"STAGES={variant.Stages}",
                ],
                hidden, inner, topK, variant.Consumers, variant.Tile)
            .Launch(
                _launcher.Stream, (_launcher.Device.Processors, 1, 1), 128 * (variant.Consumers + 1), variant.SharedBytes,
                &from, &fromStride, &plan, &sorted, &gateUp, &down, &innerAt, &results, &ready, &phases);

        (ulong weights, ulong to, int toStride) = (routing.Weights, y.Address, y.Stride);
        (ulong sharedAt, int sharedStride) = (shared?.Address ?? 0, shared?.Stride ?? 0);
        (ulong gateAt, int gateStride) = (gate?.Address ?? 0, gate?.Stride ?? 0);
        _launcher.Get("experts_reduce.cu", "experts_reduce", () => [$"HIDDEN={hidden}", $"TOP_K={topK}"], hidden, topK).Launch(
            _launcher.Stream, (Launcher.CeilDiv(rows * (hidden / 8), 128), 1, 1), 128, 0,
            &results, &weights, &sharedAt, &sharedStride, &gateAt, &gateStride, &to, &toStride, &rows);
    }

    private static string[] Macros(CudaRouting routing, bool normalise) =>
        [$"EXPERTS={routing.ExpertCount}", $"TOP_K={routing.TopK}", $"NORMALISE={(normalise ? 1 : 0)}"];

    private void Align(CudaRouting routing, bool normalise, int rows)
    {
        Layout layout = Layout.Of(routing.Rows, routing.TopK);
        (ulong ids, ulong counts, ulong sorted) = (routing.Experts, routing.Plan + layout.Counts, routing.Plan);
        (ulong plan, ulong ready, int tileRows) = (routing.Plan + layout.Plan, routing.Plan + layout.Ready, routing.TileRows);
        int chunks = Launcher.CeilDiv(rows, ChunkRows);
        string[] Chosen() => Macros(routing, normalise);
        (int experts, int topK, int flag) = (routing.ExpertCount, routing.TopK, normalise ? 1 : 0);
        _launcher.Get("route.cu", "align_count", Chosen, experts, topK, flag).Launch(_launcher.Stream, (chunks, 1, 1), Threads, 0, &ids, &counts, &rows);
        _launcher.Get("route.cu", "align_scatter", Chosen, experts, topK, flag).Launch(
            _launcher.Stream, (chunks, 1, 1), Threads, 0, &ids, &counts, &sorted, &plan, &ready, &rows, &tileRows);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _scratch.Dispose();
        _arrivals.Dispose();
    }

    /// <summary>Where things lie behind one another in a routing's plan, bytes; the sorted assignments come first.</summary>
    private readonly record struct Layout(ulong Plan, ulong Ready, ulong Counts, long Bytes)
    {
        public static Layout Of(int rows, int topK)
        {
            long assignments = checked((long)rows * topK);
            long tiles = Math.Max(1024, assignments) + (assignments / 8) + 1;
            long plan = Round(assignments * sizeof(int));
            long ready = plan + Round((1 + tiles) * 4 * sizeof(int));
            long counts = ready + Round(tiles * sizeof(int));
            return new Layout((ulong)plan, (ulong)ready, (ulong)counts, counts + Round((long)Launcher.CeilDiv(rows, ChunkRows) * 1024 * sizeof(int)));
        }

        private static long Round(long bytes) => (bytes + 255) / 256 * 256;
    }

    /// <summary>
    /// The shapes that the experts' kernel is compiled in, by assignments an expert: measured at 40, 80, 160 and 320 on an H100, in between guessed.
    /// Very few assignments, or experts too narrow for blocks of 256 rows, want small items; many want weights to meet many assignments at once.
    /// </summary>
    private readonly record struct Variant(int Consumers, int Groups, int Tile, int Stages)
    {
        public int SharedBytes => 1024 + (Stages * ((128 * ((64 * Groups * Consumers) + Tile)) + 16));

        public static Variant For(int rows, int topK, int experts, int inner)
        {
            double each = (double)rows * topK / experts;
            if (each < 0.08 || 2 * inner < 256)
                return new Variant(1, 1, 32, 16);
            return each < 56 ? new Variant(2, 2, 96, 5) : each < 100 ? new Variant(2, 2, 128, 4) : new Variant(2, 2, 192, 4);
        }
    }
}
