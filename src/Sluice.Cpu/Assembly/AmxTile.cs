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
internal sealed class AmxBFloat16Tile(bool isTall) : TileAssembler
{
    private static readonly AssemblerRegisterTMM[] Sums = [tmm0, tmm1, tmm2, tmm3];

    protected override void Reserve()
    {
        // No vectors: tiles are all.
    }

    protected override void Body()
    {
        Begin();

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
            Code.add(Weights, RowPacking.BFloat16BlockPairs * 128);
            Code.add(Rows, __qword_ptr[Arguments + Field(nameof(TileArguments.RowsStep))]);
        });
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
        (int ahead, int kind) = isTall ? AmxTuning.Tall : AmxTuning.Flat;
        if (kind == 0)
            return;
        for (int line = 0; line < 2048; line += 64)
        {
            if (kind == 1)
                Code.prefetcht1(__byte_ptr[Weights + (ahead + line)]);
            else
                Code.prefetcht0(__byte_ptr[Weights + (ahead + line)]);
        }
    }
}

internal static class AmxTuning
{
    public static (int, int) Tall => (Get("PF2", 8192), Get("PF2K", 0));
    public static (int, int) Flat => (Get("PF1", 4096), Get("PF1K", 0));
    public static readonly int Block = Get("BLOCK", 512);
    public static readonly int Stretch = Get("STRETCH", 480);
    private static int Get(string name, int other) => int.Parse(Environment.GetEnvironmentVariable("AMX_" + name) ?? other.ToString());
}
