using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Sluice.Cpu.Assembly;

/// <summary>
/// Some rows times a panel of BF16 weights: <c>vdpbf16ps</c> on pairs of columns, two registers of outputs to a row. Weights are a panel
/// [column pairs, 32 outputs x 2 columns], rows [blocks of 32 columns, rows, 16 pairs].
/// </summary>
/// <remarks>
/// The instruction adds the product of the upper halves, then that of the lower ones, each rounded (products of two bfloat16 are exact in
/// float32) and with denormal numbers taken as zero. The first column of a pair lies in the upper half, so an output is one
/// chain over the columns in order, the same for every number of rows.
/// </remarks>
/// <param name="rows">Rows.</param>
/// <param name="prefetch">What it fetches.</param>
internal class BFloat16Tile(int rows, TilePrefetch prefetch = TilePrefetch.Own) : TileAssembler
{
    /// <summary>Rows from which on a tile takes longer for what it reads than the hardware looks ahead.</summary>
    private const int SlowRows = 3;

    /// <summary>Bytes of <see cref="TileArguments.Next"/> that a tile fetches for each pair of columns: two tiles fetch all.</summary>
    private const int SharedBytes = 64;

    /// <summary>Bytes of a pair of columns in a panel.</summary>
    protected virtual int PairBytes => 128;

    /// <summary>Bytes of a block of one row.</summary>
    protected virtual int RecordBytes => RowPacking.BFloat16RecordBytes;

    /// <summary>Rows.</summary>
    protected int Height => rows;

    /// <summary>Sums of each row: outputs 0..15, 16..31.</summary>
    protected AssemblerRegisterZMM[][] Sums { get; private set; } = [];

    /// <summary>A pair of columns of outputs 0..15.</summary>
    protected AssemblerRegisterZMM Low { get; private set; }

    /// <summary>A pair of columns of outputs 16..31.</summary>
    protected AssemblerRegisterZMM High { get; private set; }

    /// <summary>A pair of columns of one row, in every place.</summary>
    protected AssemblerRegisterZMM Row { get; private set; }

    protected override void Reserve()
    {
        Sums = [.. Enumerable.Range(0, rows).Select(_ => Take(2))];
        Low = Take();
        High = Take();
        Row = Take();
    }

    private static AssemblerRegister64 Next => Scratch;

    protected override void Body()
    {
        Begin();
        if (prefetch.HasFlag(TilePrefetch.Next))
            Code.mov(Next, __qword_ptr[Arguments + Field(nameof(TileArguments.Next))]);
        Repeat(nameof(TileArguments.Blocks), () =>
        {
            for (int pair = 0; pair < RowPacking.BFloat16BlockPairs; pair++)
                Pair(pair * PairBytes, 4 * pair);
            if (prefetch.HasFlag(TilePrefetch.Next))
                Code.add(Next, RowPacking.BFloat16BlockPairs * SharedBytes);
            Code.add(Weights, RowPacking.BFloat16BlockPairs * PairBytes);
            Code.add(Rows, rows * RecordBytes);
        });
        Repeat(nameof(TileArguments.Pairs), () =>
        {
            Pair(0, 0);
            Code.add(Weights, PairBytes);
            Code.add(Rows, 4);
        });
        Finish();
    }

    protected virtual void Begin() => BeginSums(Sums);

    protected virtual void Finish() => StoreSums(Sums);

    /// <summary>Loads a pair of columns into <see cref="Low"/> and <see cref="High"/>.</summary>
    protected virtual void LoadPair(int at)
    {
        Code.vmovups(Low, __zmmword_ptr[Weights + at]);
        Code.vmovups(High, __zmmword_ptr[Weights + (at + 64)]);
    }

    /// <summary>Fetches what comes later than a pair of columns.</summary>
    protected virtual void PrefetchPair(int weights)
    {
        // Into the first level: into the second alone brought a Zen 5 core 21 GB/s of the 37 that it reads.
        int ahead = rows >= SlowRows ? 8192 : 3072;
        for (int line = 0; line < PairBytes && prefetch.HasFlag(TilePrefetch.Own); line += 64)
            Code.prefetcht0(__byte_ptr[Weights + (weights + ahead + line)]);
        if (prefetch.HasFlag(TilePrefetch.Next))
            Code.prefetcht0(__byte_ptr[Next + (weights / PairBytes * SharedBytes)]);
    }

    /// <summary>Adds a pair of columns, which lies so many bytes on in weights and in each row's record.</summary>
    protected void Pair(int weights, int at)
    {
        PrefetchPair(weights);
        LoadPair(weights);
        for (int row = 0; row < rows; row++)
        {
            // Loaded once for both: a Zen 5 core loads two registers a cycle, and multiplies as many.
            Code.vpbroadcastd(Row, __dword_ptr[Rows + ((row * RecordBytes) + at)]);
            Code.vdpbf16ps(Sums[row][0], Low, Row);
            Code.vdpbf16ps(Sums[row][1], High, Row);
        }
    }
}
