using Sluice.Backends;
using Sluice.Core;
using Sluice.Cuda.Driver;
using Sluice.Cuda.Memory;

namespace Sluice.Cuda.Operations;

/// <summary>
/// Routing, its sorting by expert on the card, and the experts themselves: one persistent kernel for both products, then the weighted sums.
/// </summary>
internal sealed unsafe class MixtureOfExperts : IDisposable
{
    private const int Warps = 16; // WARPS and CHUNK of route.cu
    private const int ChunkRows = 256;
    private const int WarpsForFew = 8; // and what is better for few rows: fewer take part in the alignment's sums
    private const int FewChunkRows = 64;
    private const int WarpsBesideShared = 16; // WARPS of route_beside_shared.cu
    private const int Choosers = 4; // CHOOSERS of route.cu
    private const int MostExperts = 1024;
    private const int MostExpertsOfRow = 32;

    // What is fetched of the matrix after this layer, and from how many rows on it is worth it: measured on an H200.
    private const int AheadRows = 4;
    private const long AheadSkip = 17L << 20;
    private const long AheadBytes = 32L << 20;
    private const int AheadPiece = 2048; // AHEAD_PIECE of sluice.cuh

    private readonly Launcher _launcher;
    private readonly DeviceMemory _box;
    private readonly ScratchMemory _scratch;
    private ExpertsSum? _owed;

    public MixtureOfExperts(Launcher launcher)
    {
        _launcher = launcher;
        _scratch = new ScratchMemory("the experts' inner activations", launcher.Stream);
        _box = new DeviceMemory(ChunkRows * MostExpertsOfRow * sizeof(int), "routing");
        _box.Fill(0, launcher.Stream);
    }

    /// <summary>Bytes of what sorting leaves behind for <paramref name="rows"/> rows: sorted, plan, ready, counts.</summary>
    public static long PlanBytes(int rows, int topK) => Layout.Of(rows, topK).Bytes;

    /// <summary>Refuses more experts than the kernels choose among.</summary>
    /// <exception cref="BackendException">They are too many.</exception>
    public static void CheckCount(int experts)
    {
        if (experts > MostExperts)
            throw new BackendException($"cuda: expected at most {MostExperts} experts, found {experts}; use --device cpu");
    }

    /// <summary>Refuses more experts for a token than the kernels choose.</summary>
    /// <exception cref="BackendException">They are too many.</exception>
    public static void CheckTopK(int topK)
    {
        if (topK > MostExpertsOfRow)
            throw new BackendException($"cuda: expected at most {MostExpertsOfRow} experts for a token, found {topK}; use --device cpu");
    }

    /// <summary>Whether <see cref="RouteBesideShared"/> takes so many rows.</summary>
    public static bool CanRouteBesideShared(int rows, CudaActivation gateUp) => rows <= WarpsBesideShared && gateUp.IsFloat;

    public void Route(CudaActivation logits, bool normalise, CudaRouting routing, int rows)
    {
        if (rows > ChunkRows)
        {
            Choose(logits, normalise, routing, rows);
            Align(routing, normalise, rows);
            return;
        }

        Choice choice = Prepare(logits, routing, rows);
        (ulong from, int stride) = logits.Place;
        ulong box = _box.Address;
        bool areFew = rows <= FewChunkRows;
        int blocks = rows == 1 ? 1 : Launcher.CeilDiv(rows, Choosers) + 1;
        int sharedBytes = Math.Max(Choosers * choice.RoomBytes, rows * routing.TopK * sizeof(int));
        Of("route", routing, normalise, areFew).Launch(
            _launcher.Stream, (blocks, 1, 1), 32 * (areFew ? WarpsForFew : Warps), sharedBytes,
            &from, &stride, &choice.Ids, &choice.Weights, &choice.Sorted, &choice.Plan, &choice.Ready, &box, &rows, &choice.TileRows);
    }

    /// <summary>The choice alone, without the experts' order of work.</summary>
    public void Choose(CudaActivation logits, bool normalise, CudaRouting routing, int rows)
    {
        Choice choice = Prepare(logits, routing, rows);
        (ulong from, int stride) = logits.Place;
        Of("choose_rows", routing, normalise).Launch(
            _launcher.Stream, (Launcher.CeilDiv(rows, Warps), 1, 1), 32 * Warps, Warps * choice.RoomBytes, &from, &stride, &choice.Ids, &choice.Weights, &rows);
    }

    /// <summary>The same for few rows, with the shared expert's result beside it; meanwhile the beginning of <paramref name="ahead"/> is fetched.</summary>
    public void RouteBesideShared(
        CudaActivation logits, bool normalise, CudaRouting routing, CudaActivation gateUp, CudaMatrix down, CudaActivation result, CudaMatrix? ahead, int rows)
    {
        Choice choice = Prepare(logits, routing, rows);
        (ulong from, int stride) = logits.Place;
        (ulong gates, int gateStride) = gateUp.Place;
        (ulong to, int toStride) = result.Place;
        (ulong weight, int outputs, int columns) = (down.Address, down.Rows, down.Columns);
        int blocks = Launcher.CeilDiv(outputs, 16);
        (ulong aheadAt, int aheadPieces) = Ahead(ahead, rows, blocks);
        int tiles = Launcher.CeilDiv(rows, 8);
        string[] Chosen() => [.. Macros(routing, normalise), $"COLUMNS={columns}", $"TILES={tiles}"];
        _launcher.Get("route_beside_shared.cu", "route_beside_shared", Chosen, logits.Width, routing.TopK, normalise ? 1 : 0, columns, tiles).Launch(
            _launcher.Stream, (1 + blocks, 1, 1), WarpsBesideShared * 32, WarpsBesideShared * choice.RoomBytes,
            &from, &stride, &choice.Ids, &choice.Weights, &choice.Sorted, &choice.Plan, &choice.Ready, &rows, &choice.TileRows,
            &gates, &gateStride, &weight, &to, &toStride, &outputs, &aheadAt, &aheadPieces);
    }

    /// <summary>
    /// The chosen experts' results. Their weighted sum and, if there is one, the shared expert's result times its gate, which is float32, stay owed to
    /// <paramref name="y"/>: whoever adds them to the residual stream sums them on the way.
    /// </summary>
    public void Experts(
        CudaActivation x, CudaRouting routing, CudaExperts experts, CudaActivation? shared, CudaActivation? gate, CudaActivation y, int rows, bool runs)
    {
        int topK = routing.TopK;
        (int hidden, int inner) = (experts.Hidden, experts.Inner);
        ulong results = _scratch.Take((long)routing.Rows * topK * (hidden + inner) * 2);
        _owed = new ExpertsSum(
            new Terms(results, routing.Weights, shared?.Address ?? 0, gate?.Address ?? 0, shared?.Stride ?? 0, gate?.Stride ?? 0), y, hidden, topK, rows);
        if (!runs)
            return;

        Variant variant = Variant.For(rows, topK, experts.Count, inner);
        Layout layout = Layout.Of(routing.Rows, topK);
        routing.InnerWidth = inner;
        if (routing.TileRows != variant.Tile)
        {
            // Only at the first step: from then on routing knows the experts' width.
            routing.TileRows = variant.Tile;
            Align(routing, normalise: true, rows);
        }

        ulong innerAt = results + ((ulong)routing.Rows * (ulong)topK * (ulong)hidden * 2);
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
    }

    /// <summary>What is owed to <paramref name="delta"/>, which the caller now owes; null if its values are there.</summary>
    public ExpertsSum? Take(Activation delta)
    {
        if (_owed is not { } sum || sum.Y != delta)
            return null;
        _owed = null;
        return sum;
    }

    /// <summary>Pays what is owed, if anything: the sums are where they were asked for.</summary>
    public void Settle()
    {
        if (_owed is not { } sum)
            return;
        _owed = null;
        (Terms terms, ulong to, int toStride, int rows, int hidden, int topK) = (sum.Terms, sum.Y.Address, sum.Y.Stride, sum.Rows, sum.Hidden, sum.TopK);
        _launcher.Get("experts_reduce.cu", "experts_reduce", () => SumMacros(sum, isFloat: true), hidden, topK, 1).Launch(
            _launcher.Stream, (Launcher.CeilDiv(rows * (hidden / 8), 128), 1, 1), 128, 0, &terms, &to, &toStride, &rows);
    }

    /// <summary><c>x += sum; y = norm(x) * weight</c>; without y no norm.</summary>
    public void AddNorm(ExpertsSum sum, CudaActivation x, CudaVector? weight, float epsilon, CudaActivation? y)
    {
        (Terms terms, ulong xAt, int xStride, ulong weights) = (sum.Terms, x.Address, x.Stride, weight?.Address ?? 0);
        (ulong yAt, int yStride) = (y?.Address ?? 0, y?.Stride ?? 0);
        _launcher.Get("experts_reduce.cu", "experts_add_norm", () => SumMacros(sum, x.IsFloat), sum.Hidden, sum.TopK, x.IsFloat ? 1 : 0).Launch(
            _launcher.Stream, (sum.Rows, 1, 1), RowOperations.NormThreads(sum.Hidden), 0, &terms, &xAt, &xStride, &weights, &epsilon, &yAt, &yStride);
    }

    private static string[] SumMacros(ExpertsSum sum, bool isFloat) => [$"HIDDEN={sum.Hidden}", $"TOP_K={sum.TopK}", $"FLOAT_X={(isFloat ? 1 : 0)}"];

    // Behind what the first blocks of that product will hold, which they ask for themselves while the step before it ends.
    private static (ulong Address, int Pieces) Ahead(CudaMatrix? matrix, int rows, int blocks)
    {
        if (matrix is null || rows < AheadRows)
            return (0, 0);
        long size = (long)matrix.Rows * matrix.Columns * 2;
        long skipped = Math.Min(size, AheadSkip);
        return (matrix.Address + (ulong)skipped, (int)(Math.Min(size - skipped, AheadBytes) / blocks / AheadPiece));
    }

    // What both ways of routing tell the kernel.
    private static Choice Prepare(CudaActivation logits, CudaRouting routing, int rows)
    {
        int experts = logits.Width;
        routing.ExpertCount = experts;
        Layout layout = Layout.Of(routing.Rows, routing.TopK);
        routing.TileRows = Variant.For(rows, routing.TopK, experts, routing.InnerWidth).Tile;
        int candidates = Math.Max(32, routing.TopK * Launcher.CeilDiv(experts, 32)); // CANDIDATES of route.cuh
        return new Choice
        {
            Ids = routing.Experts,
            Weights = routing.Weights,
            Sorted = routing.Plan,
            Plan = routing.Plan + layout.Plan,
            Ready = routing.Plan + layout.Ready,
            TileRows = routing.TileRows,
            RoomBytes = (candidates + routing.TopK) * sizeof(ulong),
        };
    }

    private static string[] Macros(CudaRouting routing, bool normalise) =>
        [$"EXPERTS={routing.ExpertCount}", $"TOP_K={routing.TopK}", $"NORMALISE={(normalise ? 1 : 0)}"];

    private void Align(CudaRouting routing, bool normalise, int rows)
    {
        Layout layout = Layout.Of(routing.Rows, routing.TopK);
        (ulong ids, ulong counts, ulong sorted) = (routing.Experts, routing.Plan + layout.Counts, routing.Plan);
        (ulong plan, ulong ready, int tileRows) = (routing.Plan + layout.Plan, routing.Plan + layout.Ready, routing.TileRows);
        int chunks = Launcher.CeilDiv(rows, ChunkRows);
        Of("align_count", routing, normalise).Launch(_launcher.Stream, (chunks, 1, 1), 32 * Warps, 0, &ids, &counts, &rows);
        Of("align_scatter", routing, normalise).Launch(
            _launcher.Stream, (chunks, 1, 1), 32 * Warps, 0, &ids, &counts, &sorted, &plan, &ready, &rows, &tileRows);
    }

    // A kernel of route.cu.
    private Kernel Of(string name, CudaRouting routing, bool normalise, bool areFew = false)
    {
        string[] Chosen() => areFew ? [.. Macros(routing, normalise), $"WARPS={WarpsForFew}", $"CHUNK={FewChunkRows}"] : Macros(routing, normalise);
        return _launcher.Get("route.cu", name, Chosen, routing.ExpertCount, routing.TopK, normalise ? 1 : 0, areFew ? 1 : 0);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _scratch.Dispose();
        _box.Dispose();
    }

    /// <summary><c>Sum</c> of experts_reduce.cu.</summary>
    internal readonly record struct Terms(ulong Results, ulong Weights, ulong Shared, ulong Gate, int SharedStride, int GateStride);

    /// <summary>A weighted sum of experts' results that has not been made yet.</summary>
    internal sealed record ExpertsSum(Terms Terms, CudaActivation Y, int Hidden, int TopK, int Rows);

    private struct Choice
    {
        public ulong Ids;
        public ulong Weights;
        public ulong Sorted;
        public ulong Plan;
        public ulong Ready;
        public int TileRows;
        public int RoomBytes;
    }

    /// <summary>Where things lie behind one another in a routing's plan, bytes; the sorted assignments come first.</summary>
    internal readonly record struct Layout(ulong Plan, ulong Ready, ulong Counts, long Bytes)
    {
        public static Layout Of(int rows, int topK)
        {
            long assignments = checked((long)rows * topK);
            long tiles = Math.Max(MostExperts, assignments) + (assignments / 8) + 1;
            long plan = Round(assignments * sizeof(int));
            long ready = plan + Round((1 + tiles) * 4 * sizeof(int));
            long counts = ready + Round(tiles * sizeof(int));
            return new Layout((ulong)plan, (ulong)ready, (ulong)counts, counts + Round((long)Launcher.CeilDiv(rows, ChunkRows) * MostExperts * sizeof(int)));
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
