using Iced.Intel;
using Sluice.Cpu.Kernels;
using static Iced.Intel.AssemblerRegisters;

namespace Sluice.Cpu.Assembly;

/// <summary>
/// Some rows of attention's sums, first rescaled, plus their weights times the values of some pages: a panel of 32 columns (<see cref="BF16Kv"/>), in which
/// neighbouring tokens make the pairs. Weights are [pages, rows, 8 pairs]. Meanwhile as many pages that are needed next are fetched.
/// </summary>
internal sealed class CombineTile(int rows) : BFloat16Tile(rows)
{
    /// <summary>Bytes of a row's weights for a page.</summary>
    public const int WeightBytes = PagePairs * sizeof(uint);

    private const int PagePairs = BF16Kv.PanelBytes / BF16Kv.PairBytes;

    protected override int PairBytes => BF16Kv.PairBytes;

    protected override int RecordBytes => WeightBytes;

    // Where the page's pointer is; outputs' stride is needed before and after.
    private static AssemblerRegister64 Page => Stride;

    private static AssemblerRegister64 NextPage => Scratch;

    protected override void Body()
    {
        Begin();
        Repeat(nameof(TileArguments.Blocks), () =>
        {
            LoadPage();
            for (int pair = 0; pair < PagePairs; pair++)
                Pair(pair * PairBytes, sizeof(uint) * pair);
            Code.add(Rows, Height * RecordBytes);
            Code.add(Page, sizeof(ulong));
        });
        LoadPage();
        Repeat(nameof(TileArguments.Pairs), () =>
        {
            Pair(0, 0);
            Code.add(Weights, PairBytes);
            Code.add(NextPage, PairBytes);
            Code.add(Rows, sizeof(uint));
        });
        Finish();
    }

    protected override void Begin()
    {
        Code.mov(Scratch, Outputs);
        Code.mov(Count, __qword_ptr[Arguments + Field(nameof(TileArguments.Scales))]);
        for (int row = 0; row < Height; row++)
        {
            for (int i = 0; i < Sums[row].Length; i++)
            {
                Code.vmovups(Sums[row][i], __zmmword_ptr[Scratch + (64 * i)]);
                Code.vmulps(Sums[row][i], Sums[row][i], __dword_bcst[Count + (sizeof(float) * row)]);
            }

            Code.add(Scratch, Stride);
        }

        Code.mov(Page, __qword_ptr[Arguments + Field(nameof(TileArguments.Pages))]);
    }

    protected override void PrefetchPair(int weights)
    {
        Code.prefetcht1(__byte_ptr[NextPage + weights]);
        Code.prefetcht1(__byte_ptr[NextPage + (weights + 64)]);
    }

    protected override void Finish()
    {
        Code.mov(Stride, __qword_ptr[Arguments + Field(nameof(TileArguments.OutputStride))]);
        StoreSums(Sums);
    }

    // The list ends with a pointer beyond the pages, which is loaded too when all of them have been taken.
    private void LoadPage()
    {
        Code.mov(Weights, __qword_ptr[Page]);
        Code.mov(NextPage, __qword_ptr[Page + (sizeof(ulong) * AttentionTile.BlockPages)]);
        Code.add(Weights, __qword_ptr[Arguments + Field(nameof(TileArguments.PageOffset))]);
        Code.add(NextPage, __qword_ptr[Arguments + Field(nameof(TileArguments.PageOffset))]);
    }
}
