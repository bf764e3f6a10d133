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
internal sealed class BFloat16Tile(int rows) : TileAssembler
{
    /// <summary>Bytes of a pair of columns in a panel.</summary>
    private const int PairBytes = 128;

    /// <summary>As far as the loops in managed code fetch ahead.</summary>
    private const int Ahead = 3072;

    private AssemblerRegisterZMM _low;
    private AssemblerRegisterZMM _high;
    private AssemblerRegisterZMM[][] _sums = [];

    protected override void Reserve()
    {
        _sums = [.. Enumerable.Range(0, rows).Select(_ => Take(2))];
        _low = Take();
        _high = Take();
    }

    protected override void Body()
    {
        BeginSums(_sums);
        Repeat(nameof(TileArguments.Blocks), () =>
        {
            for (int pair = 0; pair < RowPacking.BFloat16BlockPairs; pair++)
                Pair(pair * PairBytes, 4 * pair);
            Code.add(Weights, RowPacking.BFloat16BlockPairs * PairBytes);
            Code.add(Rows, rows * RowPacking.BFloat16RecordBytes);
        });
        Repeat(nameof(TileArguments.Pairs), () =>
        {
            Pair(0, 0);
            Code.add(Weights, PairBytes);
            Code.add(Rows, 4);
        });
        StoreSums(_sums);
    }

    private void Pair(int weights, int at)
    {
        Code.prefetcht0(__byte_ptr[Weights + (weights + Ahead)]);
        Code.prefetcht0(__byte_ptr[Weights + (weights + Ahead + 64)]);
        Code.vmovups(_low, __zmmword_ptr[Weights + weights]);
        Code.vmovups(_high, __zmmword_ptr[Weights + (weights + 64)]);
        for (int row = 0; row < rows; row++)
        {
            int from = (row * RowPacking.BFloat16RecordBytes) + at;
            Code.vdpbf16ps(_sums[row][0], _low, __dword_bcst[Rows + from]);
            Code.vdpbf16ps(_sums[row][1], _high, __dword_bcst[Rows + from]);
        }
    }
}
