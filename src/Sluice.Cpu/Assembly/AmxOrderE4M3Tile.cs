using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Sluice.Cpu.Assembly;

/// <summary>
/// As <see cref="E4M3Tile"/>, summed in the order of <see cref="AmxBFloat16Tile"/> and with the same bits, for one row, for which decoding for AMX takes longer
/// than reading: first and second columns of pairs in chains of their own, each product next to one with zero.
/// </summary>
internal sealed class AmxOrderE4M3Tile() : E4M3Tile(rows: 1)
{
    // Denormal numbers are zero, taken and given.
    private const uint FlushToZero = 0x8040;

    // Linux alone has AMX, and wants no register back.
    private static readonly int Control = Field(nameof(TileArguments.Saved));

    // Of first columns, of second ones: outputs 0..15, 16..31.
    private AssemblerRegisterZMM[][] _chains = [];
    private AssemblerRegisterZMM[] _halves = [];
    private AssemblerRegisterZMM[] _columns = [];

    protected override void Reserve()
    {
        base.Reserve();
        _chains = [Take(2), Take(2)];
        _halves = Take(2);
        _columns = Take(2);
    }

    protected override void Body()
    {
        Begin();
        Code.mov(eax, 0xFFFF0000u);
        Code.vpbroadcastd(_halves[0], eax);
        Code.not(eax);
        Code.vpbroadcastd(_halves[1], eax);
        Code.vstmxcsr(__dword_ptr[Arguments + Control]);
        Code.mov(eax, __dword_ptr[Arguments + Control]);
        Code.or(eax, FlushToZero);
        Code.mov(__dword_ptr[Arguments + (Control + 4)], eax);
        Code.vldmxcsr(__dword_ptr[Arguments + (Control + 4)]);
        Repeat(nameof(TileArguments.Blocks), () =>
        {
            foreach (AssemblerRegisterZMM chain in _chains.SelectMany(chains => chains))
                Code.vpxord(chain, chain, chain);
            for (int pair = 0; pair < RowPacking.BFloat16BlockPairs; pair++)
                AddPair(pair);
            for (int i = 0; i < 2; i++)
            {
                Code.vaddps(_chains[0][i], _chains[0][i], _chains[1][i]);
                Code.vaddps(Sums[0][i], Sums[0][i], _chains[0][i]);
            }

            Code.add(Weights, RowPacking.BFloat16BlockPairs * PairBytes);
            Code.add(Rows, RowPacking.BFloat16RecordBytes);
        });
        Code.vldmxcsr(__dword_ptr[Arguments + Control]);
        Finish();
    }

    private void AddPair(int pair)
    {
        PrefetchPair(pair * PairBytes);
        LoadPair(pair * PairBytes);
        for (int column = 0; column < 2; column++)
        {
            Code.vpandd(_columns[column], _halves[column], __dword_bcst[Rows + (4 * pair)]);
            Code.vdpbf16ps(_chains[column][0], Low, _columns[column]);
            Code.vdpbf16ps(_chains[column][1], High, _columns[column]);
        }
    }
}
