using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Sluice.Cpu.Assembly;

/// <summary>
/// Some query rows times two pages of keys, each [element pairs, 16 tokens, 2] in BF16 (<see cref="Kernels.BF16Kv"/>): scores of 32 keys to a row. Meanwhile
/// two pages that are needed next are fetched.
/// </summary>
internal sealed class ScoreTile(int rows) : BFloat16Tile(rows)
{
    protected override int PairBytes => 64;

    // Differences from the keys to the other pages: what needs these registers, outputs and their stride, comes last.
    private static AssemblerRegister64 SecondPage => Scratch;

    private static AssemblerRegister64 NextPage => Stride;

    private static AssemblerRegister64 MoreNextPage => Outputs;

    protected override void Begin()
    {
        Difference(SecondPage, nameof(TileArguments.MoreWeights));
        Difference(NextPage, nameof(TileArguments.Next));
        Difference(MoreNextPage, nameof(TileArguments.MoreNext));
        ZeroSums(Sums);
    }

    protected override void LoadPair(int at)
    {
        Code.vmovups(Low, __zmmword_ptr[Weights + at]);
        Code.vmovups(High, __zmmword_ptr[Weights + SecondPage + at]);
    }

    protected override void PrefetchPair(int weights)
    {
        Code.prefetcht1(__byte_ptr[Weights + NextPage + weights]);
        Code.prefetcht1(__byte_ptr[Weights + MoreNextPage + weights]);
    }

    protected override void Finish()
    {
        Code.mov(Outputs, __qword_ptr[Arguments + Field(nameof(TileArguments.Outputs))]);
        Code.mov(Stride, __qword_ptr[Arguments + Field(nameof(TileArguments.OutputStride))]);
        StoreSums(Sums);
    }

    private void Difference(AssemblerRegister64 register, string page)
    {
        Code.mov(register, __qword_ptr[Arguments + Field(page)]);
        Code.sub(register, Weights);
    }
}
