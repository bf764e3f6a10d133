using System.Diagnostics;
using Sluice.Core;
using Sluice.Cpu.Weights;
using Sluice.Memory;

namespace Sluice.Cpu.Assembly;

/// <summary>
/// Kernels in instructions that .NET does not expose, assembled when first needed. There is one set for a process, since memory that
/// holds instructions is never given back.
/// </summary>
internal sealed unsafe class AssembledKernels
{
    private static readonly Lazy<(AssembledKernels? Kernels, string? Refusal)> Process = new(Create);

    private const int Heights = RowPacking.TileRows + 1;

    private readonly Lock _assembling = new();
    private readonly nint[] _bfloat16 = new nint[4 * Heights];
    private readonly nint[] _scores = new nint[Heights];
    private readonly nint[] _combine = new nint[Heights];
    private readonly nint[] _e4m3 = new nint[Heights];
    private readonly nint[] _int8 = new nint[((int)DType.Other + 1) * (Int8Tile.MostRows + 1)];
    private readonly nint[] _int8Panels = new nint[(int)DType.Other + 1];
    private readonly nint[] _amxBFloat16 = new nint[2 * 3];
    private nint _amxOrderE4M3;
    private nint _amxConfiguration;
    private nint _amxRelease;

    private readonly Lazy<CpuFeatures> _worthwhile;

    private AssembledKernels(CpuFeatures features)
    {
        Features = features;
        _worthwhile = new Lazy<CpuFeatures>(() => WorthwhileOf(features));
    }

    /// <summary>Those of this processor; null where it has none of the instructions, they are disabled, or memory cannot be made executable.</summary>
    public static AssembledKernels? Shared => Process.Value.Kernels;

    /// <summary>Why there are none although the processor has the instructions; null otherwise.</summary>
    public static string? Refusal => Process.Value.Refusal;

    /// <summary>The instructions there are.</summary>
    public CpuFeatures Features { get; }

    /// <summary>
    /// Those of them that are faster than the kernels they stand in for. An Intel core does half as many multiply-adds in <c>vdpbf16ps</c> as in float32, a
    /// Zen 4 core twice as many, so that a moment tells them apart; results are the same.
    /// </summary>
    public CpuFeatures Worthwhile => _worthwhile.Value;

    /// <summary>The tile of BF16 weights for a number of rows from 1 to <see cref="RowPacking.TileRows"/>.</summary>
    public Tile BFloat16(int rows, TilePrefetch prefetch)
    {
        ref nint address = ref _bfloat16[((int)prefetch * Heights) + rows];
        return new Tile(Volatile.Read(ref address) is not 0 and var known ? known : Assemble(ref address, new BFloat16Tile(rows, prefetch)));
    }

    /// <summary>The tile of attention's scores, likewise.</summary>
    public Tile Scores(int rows) =>
        new(Volatile.Read(ref _scores[rows]) is not 0 and var known ? known : Assemble(ref _scores[rows], new ScoreTile(rows)));

    /// <summary>The tile of attention's weighted sums, likewise.</summary>
    public Tile Combine(int rows) =>
        new(Volatile.Read(ref _combine[rows]) is not 0 and var known ? known : Assemble(ref _combine[rows], new CombineTile(rows)));

    /// <summary>The tile of E4M3 weights, likewise.</summary>
    public Tile E4M3(int rows) =>
        new(Volatile.Read(ref _e4m3[rows]) is not 0 and var known ? known : Assemble(ref _e4m3[rows], new E4M3Tile(rows)));

    /// <summary>The tile of a strip of quantised weights for a number of rows from 1 to <see cref="Int8Tile.MostRows"/>.</summary>
    public Tile Int8(in QuantisedFormat format, int rows)
    {
        ref nint address = ref _int8[((int)format.Type * (Int8Tile.MostRows + 1)) + rows];
        return new Tile(Volatile.Read(ref address) is not 0 and var known ? known : Assemble(ref address, new Int8Tile(format, rows)));
    }

    /// <summary>The tile of a panel of quantised weights, for any number of rows.</summary>
    public Tile Int8Panel(in QuantisedFormat format)
    {
        ref nint address = ref _int8Panels[(int)format.Type];
        return new Tile(Volatile.Read(ref address) is not 0 and var known ? known : Assemble(ref address, new Int8PanelTile(format)));
    }

    /// <summary>The tile of BF16 weights for AMX, for up to <see cref="RowPacking.AmxTileRows"/> rows, between the next two.</summary>
    public Tile AmxBFloat16(int rows, TilePrefetch prefetch)
    {
        bool isTall = rows > AmxShapes.TileRows;
        ref nint address = ref _amxBFloat16[(isTall ? 1 : 0) + (2 * (int)prefetch)];
        return new Tile(Volatile.Read(ref address) is not 0 and var known ? known : Assemble(ref address, new AmxBFloat16Tile(isTall, prefetch)));
    }

    /// <summary>The tile of E4M3 weights in AMX's order, for one row.</summary>
    public Tile AmxOrderE4M3 =>
        new(Volatile.Read(ref _amxOrderE4M3) is not 0 and var known ? known : Assemble(ref _amxOrderE4M3, new AmxOrderE4M3Tile()));

    /// <summary>Gives tile registers their shapes: comes before AMX's tiles, on the same thread.</summary>
    public void ConfigureAmx(TileArguments* arguments, AmxShapes shapes)
    {
        arguments->Shapes = shapes;
        new Tile(Volatile.Read(ref _amxConfiguration) is not 0 and var known ? known : Assemble(ref _amxConfiguration, new AmxConfiguration()))
            .Run(arguments);
    }

    /// <summary>Lets tile registers go: comes after AMX's tiles.</summary>
    public Tile AmxRelease => new(Volatile.Read(ref _amxRelease) is not 0 and var known ? known : Assemble(ref _amxRelease, new AmxRelease()));

    /// <summary>A loop that does nothing but one of the instructions, for measuring what they can do at best.</summary>
    public static Tile Peak(CpuFeatures feature) => new((nint)ExecutableMemory.Load(new PeakLoop(feature).Assemble()));

    // AMX is faster than both, and what it leaves to vectors wants these.
    private static CpuFeatures WorthwhileOf(CpuFeatures features)
    {
        const int Runs = 8;
        if (!features.HasFlag(CpuFeatures.Avx512BFloat16) || features.HasFlag(CpuFeatures.AmxBFloat16))
            return features;
        (Tile bfloat16, Tile float32) = (Peak(CpuFeatures.Avx512BFloat16), Peak(CpuFeatures.None));
        (double assembled, double managed) = (0, 0);
        for (int run = 0; run < Runs; run++)
        {
            assembled = Math.Max(assembled, Rate(bfloat16, CpuFeatures.Avx512BFloat16));
            managed = Math.Max(managed, Rate(float32, CpuFeatures.None));
        }

        return assembled > managed ? features : features & ~CpuFeatures.Avx512BFloat16;
    }

    private static double Rate(Tile loop, CpuFeatures feature)
    {
        TileArguments arguments = new() { Blocks = 1000 };
        long start = Stopwatch.GetTimestamp();
        loop.Run(&arguments);
        return PeakLoop.MultiplyAddsOf(feature) / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static (AssembledKernels?, string?) Create()
    {
        CpuFeatures features = CpuFeatureDetection.Detect();
        if (features == CpuFeatures.None)
            return (null, null);
        try
        {
            // A return instruction alone shows whether memory may be made executable.
            ((delegate* unmanaged[SuppressGCTransition]<void>)ExecutableMemory.Load([0xC3]))();
            return (new AssembledKernels(features), null);
        }
        catch (BackendException e)
        {
            return (null, e.Message);
        }
    }

    /// <summary>Assembles a tile unless another thread has meanwhile.</summary>
    private nint Assemble(ref nint address, TileAssembler tile)
    {
        lock (_assembling)
        {
            if (address == 0)
                Volatile.Write(ref address, (nint)ExecutableMemory.Load(tile.Assemble()));
            return address;
        }
    }

    /// <summary>An assembled tile. A call takes microseconds, so it leaves the garbage collector waiting rather than announce itself.</summary>
    internal readonly struct Tile(nint address)
    {
        public void Run(TileArguments* arguments) => ((delegate* unmanaged[SuppressGCTransition]<TileArguments*, void>)address)(arguments);
    }
}
