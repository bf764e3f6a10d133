using Iced.Intel;
using Sluice.Cpu.Kernels;
using static Iced.Intel.AssemblerRegisters;

namespace Sluice.Cpu.Assembly;

/// <summary>
/// Some rows of attention's sums, first rescaled, plus their weights times the values of some pages: a panel of 32 columns in BF16 (<see cref="BF16Kv"/>), whose
/// pairs are neighbouring tokens. Weights are [pages, rows, 8 pairs]. Meanwhile as many pages that are needed next are fetched.
/// </summary>
/// <remarks>As in <see cref="BFloat16Tile"/> a sum is one chain over the tokens in order.</remarks>
internal sealed class CombineTile(int rows) : TileAssembler
{
    /// <summary>Bytes of a row's weights for a page.</summary>
    public const int RecordBytes = PagePairs * sizeof(uint);

    private const int PagePairs = BF16Kv.PanelBytes / BF16Kv.PairBytes;

    private AssemblerRegisterZMM[][] _sums = [];
    private AssemblerRegisterZMM _low;
    private AssemblerRegisterZMM _high;

    // Where the page's pointer is; outputs' stride is needed before and after.
    private static AssemblerRegister64 Page => Stride;

    private static AssemblerRegister64 NextPage => Scratch;

    protected override void Reserve()
    {
        _sums = [.. Enumerable.Range(0, rows).Select(_ => Take(2))];
        _low = Take();
        _high = Take();
    }

    protected override void Body()
    {
        Code.mov(Scratch, Outputs);
        Code.mov(Count, __qword_ptr[Arguments + Field(nameof(TileArguments.Scales))]);
        for (int row = 0; row < rows; row++)
        {
            for (int i = 0; i < 2; i++)
            {
                Code.vmovups(_sums[row][i], __zmmword_ptr[Scratch + (64 * i)]);
                Code.vmulps(_sums[row][i], _sums[row][i], __dword_bcst[Count + (sizeof(float) * row)]);
            }

            Code.add(Scratch, Stride);
        }

        Code.mov(Page, __qword_ptr[Arguments + Field(nameof(TileArguments.Pages))]);
        Repeat(nameof(TileArguments.Blocks), () =>
        {
            LoadPage();
            for (int pair = 0; pair < PagePairs; pair++)
                Pair(pair * BF16Kv.PairBytes, sizeof(uint) * pair);
            Code.add(Rows, rows * RecordBytes);
            Code.add(Page, sizeof(ulong));
        });
        LoadPage();
        Repeat(nameof(TileArguments.Pairs), () =>
        {
            Pair(0, 0);
            Code.add(Weights, BF16Kv.PairBytes);
            Code.add(NextPage, BF16Kv.PairBytes);
            Code.add(Rows, sizeof(uint));
        });
        Code.mov(Stride, __qword_ptr[Arguments + Field(nameof(TileArguments.OutputStride))]);
        StoreSums(_sums);
    }

    private void LoadPage()
    {
        Code.mov(Weights, __qword_ptr[Page]);
        Code.mov(NextPage, __qword_ptr[Page + (sizeof(ulong) * AttentionTile.BlockPages)]);
        Code.add(Weights, __qword_ptr[Arguments + Field(nameof(TileArguments.PageOffset))]);
        Code.add(NextPage, __qword_ptr[Arguments + Field(nameof(TileArguments.PageOffset))]);
    }

    private void Pair(int weights, int at)
    {
        Code.prefetcht1(__byte_ptr[NextPage + weights]);
        Code.prefetcht1(__byte_ptr[NextPage + (weights + 64)]);
        Code.vmovups(_low, __zmmword_ptr[Weights + weights]);
        Code.vmovups(_high, __zmmword_ptr[Weights + (weights + 64)]);
        for (int row = 0; row < rows; row++)
        {
            int from = (row * RecordBytes) + at;
            Code.vdpbf16ps(_sums[row][0], _low, __dword_bcst[Rows + from]);
            Code.vdpbf16ps(_sums[row][1], _high, __dword_bcst[Rows + from]);
        }
    }
}
