using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Sluice.Cpu.Assembly;

/// <summary>
/// Up to 32 rows times a panel of BF16 weights in tile registers of <see cref="AmxShapes"/>: <c>tdpbf16ps</c> on blocks of 32 columns. Weights and rows lie as
/// <see cref="BFloat16Tile"/> has them, which is what the instruction wants but for tiles of 32 rows.
/// </summary>
/// <remarks>
/// Of a block the instruction sums the products of first columns of pairs and those of second ones, each a chain of fused multiply-adds from
/// zero, adds the two, and adds that to the output: rounded to nearest, denormal numbers taken and given as zero. So an output's
/// bits depend on where blocks of 32 columns begin, and on nothing else.
/// </remarks>
/// <param name="isTall">Whether there are more than 16 rows.</param>
/// <param name="prefetch">What it fetches.</param>
internal sealed class AmxBFloat16Tile(bool isTall, TilePrefetch prefetch) : TileAssembler
{
    /// <summary>Bytes of <see cref="TileArguments.Next"/> that a tile fetches for each block of columns: eight tiles fetch all.</summary>
    public const int SharedBytes = BlockBytes / 8;

    private const int BlockBytes = RowPacking.BFloat16BlockPairs * 128;
    private const int Ahead = 3072;

    private static readonly AssemblerRegisterTMM[] Sums = [tmm0, tmm1, tmm2, tmm3];

    // The outputs are not needed until the end.
    private static AssemblerRegister64 Next => Outputs;

    protected override void Reserve()
    {
        // No vectors: tiles are all.
    }

    protected override void Body()
    {
        Begin();
        if (prefetch == TilePrefetch.Next)
        {
            Code.mov(Next, __qword_ptr[Arguments + Field(nameof(TileArguments.Next))]);
            PrefetchOutputs();
        }

        // Rows of weights are twice as far from each other.
        Code.mov(eax, AmxShapes.RowBytes);
        Repeat(nameof(TileArguments.Blocks), () =>
        {
            Code.tileloadd(tmm6, __[Weights + (Scratch * 2)]);
            Code.tileloadd(tmm4, __[Rows + (Scratch * 1)]);
            Code.tdpbf16ps(tmm0, tmm4, tmm6);
            Code.tileloadd(tmm7, __[Weights + (Scratch * 2) + 64]);
            Code.tdpbf16ps(tmm1, tmm4, tmm7);
            if (isTall)
            {
                Code.tileloadd(tmm5, __[Rows + (Scratch * 1) + (AmxShapes.TileRows * AmxShapes.RowBytes)]);
                Code.tdpbf16ps(tmm2, tmm5, tmm6);
                Code.tdpbf16ps(tmm3, tmm5, tmm7);
            }

            Prefetch();
            Code.add(Weights, BlockBytes);
            Code.add(Rows, __qword_ptr[Arguments + Field(nameof(TileArguments.RowsStep))]);
        });
        if (prefetch == TilePrefetch.Next)
            Code.mov(Outputs, __qword_ptr[Arguments + Field(nameof(TileArguments.Outputs))]);
        ForEachSum((sum, outputs) => Code.tilestored(outputs, sum));
    }

    /// <summary>Zeroes the sums, or loads them from the outputs when they go on.</summary>
    private void Begin()
    {
        Label fresh = Code.CreateLabel();
        Label begun = Code.CreateLabel();
        Code.cmp(__qword_ptr[Arguments + Field(nameof(TileArguments.Resumes))], 0);
        Code.je(fresh);
        ForEachSum((sum, outputs) => Code.tileloadd(sum, outputs));
        Code.jmp(begun);
        Code.Label(ref fresh);
        foreach (AssemblerRegisterTMM sum in InUse)
            Code.tilezero(sum);
        Code.Label(ref begun);
        Code.nop();
    }

    private void ForEachSum(Action<AssemblerRegisterTMM, AssemblerMemoryOperand> act)
    {
        act(tmm0, __[Outputs + (Stride * 1)]);
        act(tmm1, __[Outputs + (Stride * 1) + 64]);
        if (!isTall)
            return;
        Code.mov(Count, Stride);
        Code.shl(Count, 4);
        Code.add(Count, Outputs);
        act(tmm2, __[Count + (Stride * 1)]);
        act(tmm3, __[Count + (Stride * 1) + 64]);
    }

    private AssemblerRegisterTMM[] InUse => isTall ? Sums : Sums[..2];

    private void Prefetch()
    {
        if (prefetch == TilePrefetch.Next)
        {
            for (int line = 0; line < SharedBytes; line += 64)
                Code.prefetcht1(__byte_ptr[Next + line]);
            Code.add(Next, SharedBytes);
        }
        else if (prefetch == TilePrefetch.Own)
        {
            for (int line = 0; line < BlockBytes; line += 64)
                Code.prefetcht0(__byte_ptr[Weights + (Ahead + line)]);
        }
    }

    private void PrefetchOutputs()
    {
        Code.mov(Scratch, __qword_ptr[Arguments + Field(nameof(TileArguments.NextOutputs))]);
        for (int row = 0; row < RowPacking.AmxTileRows; row++)
        {
            Code.prefetcht1(__byte_ptr[Scratch]);
            Code.prefetcht1(__byte_ptr[Scratch + 64]);
            Code.add(Scratch, Stride);
        }
    }
}
