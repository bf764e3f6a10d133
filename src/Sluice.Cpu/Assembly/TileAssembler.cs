using System.Runtime.InteropServices;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Sluice.Cpu.Assembly;

/// <summary>
/// What every assembled tile shares: where its arguments are, and which registers it may use in both of x86-64's calling conventions.
/// A tile is a leaf: it calls nothing, pushes nothing and ends by clearing the upper halves of registers.
/// </summary>
internal abstract class TileAssembler
{
    // Those that both conventions let a function overwrite without a word come first.
    private static readonly AssemblerRegisterZMM[] Order =
    [
        zmm16, zmm17, zmm18, zmm19, zmm20, zmm21, zmm22, zmm23, zmm24, zmm25, zmm26, zmm27, zmm28, zmm29, zmm30, zmm31,
        zmm0, zmm1, zmm2, zmm3, zmm4, zmm5, zmm6, zmm7, zmm8, zmm9, zmm10, zmm11, zmm12, zmm13, zmm14, zmm15,
    ];

    private static readonly AssemblerRegisterXMM[] Kept = [xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15];

    private int _taken;

    protected Assembler Code { get; } = new(64);

    protected static AssemblerRegister64 Arguments => rcx;

    protected static AssemblerRegister64 Weights => rdx;

    protected static AssemblerRegister64 Rows => r8;

    protected static AssemblerRegister64 Outputs => r9;

    protected static AssemblerRegister64 Stride => r10;

    protected static AssemblerRegister64 Count => r11;

    protected static AssemblerRegister64 Scratch => rax;

    /// <summary>The instructions.</summary>
    public byte[] Assemble()
    {
        Reserve();
        if (!OperatingSystem.IsWindows())
            Code.mov(Arguments, rdi);
        if (OperatingSystem.IsWindows())
        {
            for (int i = 0; i < KeptInUse; i++)
                Code.vmovups(__xmmword_ptr[Arguments + (Field(nameof(TileArguments.Saved)) + (16 * i))], Kept[i]);
        }

        Code.mov(Weights, __qword_ptr[Arguments + Field(nameof(TileArguments.Weights))]);
        Code.mov(Rows, __qword_ptr[Arguments + Field(nameof(TileArguments.Rows))]);
        Code.mov(Outputs, __qword_ptr[Arguments + Field(nameof(TileArguments.Outputs))]);
        Code.mov(Stride, __qword_ptr[Arguments + Field(nameof(TileArguments.OutputStride))]);
        Body();
        if (OperatingSystem.IsWindows())
        {
            for (int i = 0; i < KeptInUse; i++)
                Code.vmovups(Kept[i], __xmmword_ptr[Arguments + (Field(nameof(TileArguments.Saved)) + (16 * i))]);
        }

        Code.vzeroupper();
        Code.ret();
        using MemoryStream bytes = new();
        Code.Assemble(new StreamCodeWriter(bytes), 0);
        return bytes.ToArray();
    }

    /// <summary>Takes all registers the tile will use.</summary>
    protected abstract void Reserve();

    /// <summary>Everything between loading the arguments and returning.</summary>
    protected abstract void Body();

    protected AssemblerRegisterZMM Take() => Order[_taken++];

    protected AssemblerRegisterZMM[] Take(int count)
    {
        AssemblerRegisterZMM[] taken = new AssemblerRegisterZMM[count];
        for (int i = 0; i < count; i++)
            taken[i] = Take();
        return taken;
    }

    /// <summary>Repeats <paramref name="body"/> as often as an argument says, which may be not at all.</summary>
    protected void Repeat(string argument, Action body)
    {
        Label begin = Code.CreateLabel();
        Label end = Code.CreateLabel();
        Code.mov(Count, __qword_ptr[Arguments + Field(argument)]);
        Code.test(Count, Count);
        Code.jz(end);
        Code.Label(ref begin);
        body();
        Code.dec(Count);
        Code.jnz(begin);
        Code.Label(ref end);
        Code.nop();
    }

    /// <summary>Zeroes the sums, or loads them from the outputs when they go on. Sums of a row are [registers] in order.</summary>
    protected void BeginSums(AssemblerRegisterZMM[][] sums)
    {
        Label fresh = Code.CreateLabel();
        Label begun = Code.CreateLabel();
        Code.cmp(__qword_ptr[Arguments + Field(nameof(TileArguments.Resumes))], 0);
        Code.je(fresh);
        Code.mov(Scratch, Outputs);
        for (int row = 0; row < sums.Length; row++)
        {
            for (int i = 0; i < sums[row].Length; i++)
                Code.vmovups(sums[row][i], __zmmword_ptr[Scratch + (64 * i)]);
            Code.add(Scratch, Stride);
        }

        Code.jmp(begun);
        Code.Label(ref fresh);
        ZeroSums(sums);
        Code.Label(ref begun);
        Code.nop();
    }

    protected void ZeroSums(AssemblerRegisterZMM[][] sums)
    {
        foreach (AssemblerRegisterZMM sum in sums.SelectMany(row => row))
            Code.vpxord(sum, sum, sum);
    }

    protected void StoreSums(AssemblerRegisterZMM[][] sums)
    {
        foreach (AssemblerRegisterZMM[] row in sums)
        {
            for (int i = 0; i < row.Length; i++)
                Code.vmovups(__zmmword_ptr[Outputs + (64 * i)], row[i]);
            Code.add(Outputs, Stride);
        }
    }

    protected static int Field(string name) => (int)Marshal.OffsetOf<TileArguments>(name);

    private int KeptInUse => Math.Max(0, _taken - 22);
}
