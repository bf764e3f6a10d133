using Sluice.Backends;

namespace Sluice.Cuda.Memory;

/// <summary>Activations in bfloat16, or in float32 where results are compared closely: [rows, <see cref="Stride"/>] elements, of which a view sees some.</summary>
internal sealed class CudaActivation : Activation
{
    private CudaActivation(ulong address, int rows, int width, int stride, bool isFloat, bool isWhole)
        : base(rows, width)
    {
        Address = address;
        Stride = stride;
        IsFloat = isFloat;
        WritableWidth = isWhole ? stride : width;
    }

    /// <summary>The first element of the first row.</summary>
    public ulong Address { get; }

    /// <summary>Elements from a row to the next.</summary>
    public int Stride { get; }

    /// <summary>Both, as kernels take them.</summary>
    public (ulong Address, int Stride) Place => (Address, Stride);

    /// <summary>Float32 rather than bfloat16.</summary>
    public bool IsFloat { get; }

    /// <summary>Elements of a row that nothing else has a use for: more than its width where padding follows.</summary>
    public int WritableWidth { get; }

    /// <summary>Bytes of an element.</summary>
    public int ElementBytes => IsFloat ? sizeof(float) : 2;

    /// <summary>Elements from a row to the next so that each begins at a multiple of 16 bytes.</summary>
    public static int StrideOf(int width) => checked(width + 7) / 8 * 8;

    public static CudaActivation At(ulong address, int rows, int width, bool isFloat) => new(address, rows, width, StrideOf(width), isFloat, isWhole: true);

    /// <summary>Where a row begins.</summary>
    public ulong Row(int row) => Address + ((ulong)row * (ulong)Stride * (ulong)ElementBytes);

    /// <inheritdoc/>
    public override CudaActivation Columns(int start, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Width - start);
        return new CudaActivation(Address + (ulong)(start * ElementBytes), Rows, count, Stride, IsFloat, isWhole: false);
    }
}

/// <summary>Weights in bfloat16, [rows, columns] as the checkpoint has them, then rows of zeros up to <see cref="PaddedRows"/>.</summary>
internal sealed class CudaMatrix(ulong address, int rows, int columns)
    : Matrix(rows, columns, checked((long)RowsInMemory(rows) * columns * 2))
{
    /// <summary>A multiple of 8: NVIDIA's library has no fast way to write rows of an odd number of results.</summary>
    public int PaddedRows => RowsInMemory(Rows);

    public static int RowsInMemory(int rows) => checked(rows + 7) / 8 * 8;

    public ulong Address { get; } = address;
}

/// <summary>A float32 vector.</summary>
internal sealed class CudaVector(ulong address, int length) : Vector(length)
{
    public ulong Address { get; } = address;
}

/// <summary>Choices and weights of a step's rows, [rows, topK] each, and what sorts them by expert.</summary>
internal sealed class CudaRouting(ulong experts, ulong weights, ulong plan, int rows, int topK) : Routing(rows, topK)
{
    /// <summary>Int32.</summary>
    public ulong Experts { get; } = experts;

    /// <summary>Float32.</summary>
    public ulong Weights { get; } = weights;

    /// <summary>What the alignment kernel leaves for the products.</summary>
    public ulong Plan { get; } = plan;

    /// <summary>Experts there were to choose from, as the last <c>Route</c> said.</summary>
    public int ExpertCount { get; set; }

    /// <summary>Width of the experts it is used for, as the last <c>Experts</c> said; decides how assignments are cut into tiles.</summary>
    public int InnerWidth { get; set; } = 512;

    /// <summary>Most assignments of a tile, as the plan was made.</summary>
    public int TileRows { get; set; }
}

/// <summary>A layer's experts, packed for the grouped products.</summary>
internal sealed class CudaExperts(ulong gateUp, ulong down, int count, int hidden, int inner)
    : ExpertWeights(count, checked((long)count * 3 * hidden * inner * 2))
{
    public ulong GateUp { get; } = gateUp;

    public ulong Down { get; } = down;

    public int Hidden { get; } = hidden;

    public int Inner { get; } = inner;
}

/// <summary>Keys and values; where is the arena's matter.</summary>
internal sealed class CudaKvCache(CudaCacheArena arena, CacheShape shape) : KvCache(shape.KvLayers, arena.Pages, shape.KvHeads, shape.HeadDim)
{
    public PageMap Map => arena.PageMap;
}

/// <summary>States; where is the arena's matter.</summary>
internal sealed class CudaStateCache(CudaCacheArena arena, CacheShape shape) : StateCache(shape.StateLayers, arena.Slots, shape.Linear!)
{
    public StateMap Map => arena.StateMap;

    public CudaCacheArena Arena => arena;
}

/// <summary><c>Pages</c> of sluice.cuh.</summary>
internal readonly record struct PageMap(ulong Arena, long SuperblockBytes, long PageBytes, long LayerBytes, int PagesPerSuperblock, int Unused = 0);

/// <summary><c>States</c> of sluice.cuh.</summary>
internal readonly record struct StateMap(
    ulong Arena, ulong Slots, long SuperblockBytes, long LayerBytes, int SuperblocksPerSlot, int LayersPerSuperblock);
