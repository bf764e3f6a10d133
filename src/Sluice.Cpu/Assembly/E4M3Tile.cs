using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Sluice.Cpu.Assembly;

/// <summary>
/// As <see cref="BFloat16Tile"/> for E4M3 weights of one block of scales, which become BF16 in registers, exactly: both bytes of the number are
/// looked up by the seven bits below the sign. The sums are multiplied with their outputs' scales and added to those of the blocks before.
/// </summary>
internal class E4M3Tile(int rows) : BFloat16Tile(rows)
{
    /// <summary>Of registers a, b, c: a | (b &amp; c).</summary>
    private const byte OrOfAnd = 0xF8;

    private AssemblerRegisterZMM[] _tables = [];
    private AssemblerRegisterZMM _sign;

    protected override int PairBytes => 64;

    protected override void Reserve()
    {
        base.Reserve();
        _tables = Take(4);
        _sign = Take();
    }

    protected override void Begin()
    {
        Code.mov(Scratch, __qword_ptr[Arguments + Field(nameof(TileArguments.Tables))]);
        for (int i = 0; i < _tables.Length; i++)
            Code.vmovups(_tables[i], __zmmword_ptr[Scratch + (64 * i)]);
        Code.mov(eax, 0x80808080u);
        Code.vpbroadcastd(_sign, eax);
        Code.mov(eax, 0x55555555u);
        Code.kmovd(k1, eax);
        Code.knotd(k2, k1);
        foreach (AssemblerRegisterZMM[] row in Sums)
        {
            foreach (AssemblerRegisterZMM sum in row)
                Code.vpxord(sum, sum, sum);
        }
    }

    /// <summary>A byte of outputs j and 16 + j of both columns becomes a pair of columns of each.</summary>
    protected override void LoadPair(int at)
    {
        Code.vmovups(Row, __zmmword_ptr[Weights + at]);
        Code.vmovups(Low, Row);
        Code.vmovups(High, Row);
        Code.vpermi2b(Low, _tables[0], _tables[1]);
        Code.vpermi2b(High, _tables[2], _tables[3]);
        Code.vpternlogd(High, Row, _sign, OrOfAnd);

        // Words of outputs j (lower) and 16 + j (upper) of the first column, then of the second.
        Code.vpunpcklbw(Row, Low, High);
        Code.vpunpckhbw(High, Low, High);
        Code.vpslld(Low, Row, 16);
        Code.vmovdqu16(Low.k1, High);
        Code.vpsrld(High, High, 16);
        Code.vmovdqu16(High.k2, Row);
    }

    protected override void Finish()
    {
        Label fresh = Code.CreateLabel();
        Label done = Code.CreateLabel();
        Code.mov(Scratch, __qword_ptr[Arguments + Field(nameof(TileArguments.Scales))]);
        Code.vmovups(Low, __zmmword_ptr[Scratch]);
        Code.vmovups(High, __zmmword_ptr[Scratch + 64]);
        Code.cmp(__qword_ptr[Arguments + Field(nameof(TileArguments.Resumes))], 0);
        Code.je(fresh);
        Scale(resumes: true);
        Code.jmp(done);
        Code.Label(ref fresh);
        Scale(resumes: false);
        Code.Label(ref done);
        Code.nop();
    }

    private void Scale(bool resumes)
    {
        foreach (AssemblerRegisterZMM[] row in Sums)
        {
            for (int i = 0; i < 2; i++)
            {
                if (resumes)
                    Code.vmovups(Row, __zmmword_ptr[Outputs + (64 * i)]);
                else
                    Code.vpxord(Row, Row, Row);
                Code.vfmadd231ps(Row, row[i], i == 0 ? Low : High);
                Code.vmovups(__zmmword_ptr[Outputs + (64 * i)], Row);
            }

            Code.add(Outputs, Stride);
        }
    }
}
