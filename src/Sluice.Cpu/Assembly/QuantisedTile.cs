using Iced.Intel;
using Sluice.Cpu.Weights;
using static Iced.Intel.AssemblerRegisters;

namespace Sluice.Cpu.Assembly;

/// <summary>What tiles of quantised weights share: a block's 32 columns of 16 outputs unpacked into eight registers, and its factors.</summary>
/// <remarks>See <see cref="QuantisedFormat"/> and <see cref="RowPacking"/> for the layouts.</remarks>
internal abstract class QuantisedTile(QuantisedFormat format) : TileAssembler
{
    /// <summary>Registers of a block's elements: four columns of each output.</summary>
    protected const int Quads = 8;

    /// <summary>Pairs of blocks of a superblock, of which rows have sums together.</summary>
    protected const int BlockPairs = QuantisedFormat.Blocks / 2;

    private const byte OrOfAnd = 0xF8;

    private AssemblerRegisterZMM _nibble;
    private AssemblerRegisterZMM _high;
    private AssemblerRegisterZMM _shifted;

    protected QuantisedFormat Format => format;

    /// <summary>Parts of a block that have factors of their own.</summary>
    protected int Halves => format.Factors == FactorKind.ByHalves ? 2 : 1;

    /// <summary>Takes what <see cref="LoadElements"/> needs.</summary>
    protected void ReserveForUnpacking()
    {
        if (format.LowBytes != 512)
            _nibble = Take();
        if (format.HighBits > 0)
            (_high, _shifted) = (Take(), Take());
    }

    /// <summary>Sets what <see cref="LoadElements"/> needs.</summary>
    protected void BroadcastMasks()
    {
        if (format.LowBytes != 512)
            Broadcast(_nibble, 0x0F0F0F0Fu);
        if (format.HighBits > 0)
            Broadcast(_high, format.HighBits == 1 ? 0x10101010u : 0x30303030u);
    }

    /// <summary>The factors of a superblock, which those of its blocks are multiples of.</summary>
    protected void LoadSuperFactors(AssemblerRegister64 strip, AssemblerRegisterZMM factor, AssemblerRegisterZMM offsetFactor, AssemblerRegisterZMM unit)
    {
        if (format.Factors != FactorKind.Single)
            Code.vcvtph2ps(factor, __ymmword_ptr[strip]);
        if (format.Factors == FactorKind.WithOffset)
        {
            // In units of the sums.
            Code.vcvtph2ps(offsetFactor, __ymmword_ptr[strip + 32]);
            Code.vmulps(offsetFactor, offsetFactor, unit);
        }
    }

    /// <summary>What a superblock subtracts, pairs of blocks in 16 bits.</summary>
    protected void LoadOffsets(AssemblerRegister64 strip, AssemblerRegisterZMM[] to)
    {
        for (int pair = 0; pair < BlockPairs; pair++)
            Code.vpmovzxbw(to[pair], __ymmword_ptr[strip + (192 + (32 * pair))]);
    }

    /// <summary>The factors of a block, or of its halves.</summary>
    protected void LoadFactors(int block, AssemblerRegister64 strip, AssemblerRegisterZMM factor, AssemblerRegisterZMM first, AssemblerRegisterZMM second)
    {
        switch (format.Factors)
        {
            case FactorKind.Single:
                Code.vcvtph2ps(first, __ymmword_ptr[strip + (32 * block)]);
                break;
            case FactorKind.WithOffset:
                Code.vpmovzxbd(first, __xmmword_ptr[strip + (64 + (16 * block))]);
                Code.vcvtdq2ps(first, first);
                Code.vmulps(first, first, factor);
                break;
            default:
                Code.vpmovsxbd(first, __xmmword_ptr[strip + (64 + (32 * block))]);
                Code.vcvtdq2ps(first, first);
                Code.vmulps(first, first, factor);
                Code.vpmovsxbd(second, __xmmword_ptr[strip + (80 + (32 * block))]);
                Code.vcvtdq2ps(second, second);
                Code.vmulps(second, second, factor);
                break;
        }
    }

    /// <summary>The elements of a block.</summary>
    protected void LoadElements(int block, AssemblerRegister64 strip, AssemblerRegisterZMM[] to)
    {
        int low = format.FactorBytes + (block * format.LowBytes);
        if (format.LowBytes == 512)
        {
            for (int quad = 0; quad < Quads; quad++)
                Code.vmovups(to[quad], __zmmword_ptr[strip + (low + (64 * quad))]);
            return;
        }

        for (int quad = 0; quad < Quads / 2; quad++)
        {
            Code.vmovups(to[quad], __zmmword_ptr[strip + (low + (64 * quad))]);
            Code.vpsrlw(to[quad + 4], to[quad], 4);
            Code.vpandd(to[quad + 4], to[quad + 4], _nibble);
            Code.vpandd(to[quad], to[quad], _nibble);
        }

        int high = format.FactorBytes + (QuantisedFormat.Blocks * format.LowBytes) + (block * format.HighBytes);
        for (int quad = 0; quad < Quads && format.HighBits > 0; quad++)
        {
            // Where the bits of this quad are, and where they belong: above the lower four.
            (int at, int bit) = format.HighBits == 1 ? (0, quad) : (64 * (quad / 4), 2 * (quad % 4));
            Code.vmovups(_shifted, __zmmword_ptr[strip + (high + at)]);
            if (bit < 4)
                Code.vpsllw(_shifted, _shifted, (byte)(4 - bit));
            else if (bit > 4)
                Code.vpsrlw(_shifted, _shifted, (byte)(bit - 4));
            Code.vpternlogd(to[quad], _shifted, _high, OrOfAnd);
        }
    }

    /// <summary>The lines of a superblock that a block's share of prefetches is for.</summary>
    protected IEnumerable<int> LinesOf(int block)
    {
        int lines = format.SuperBytes / 64;
        for (int line = block * lines / QuantisedFormat.Blocks; line < (block + 1) * lines / QuantisedFormat.Blocks; line++)
            yield return 64 * line;
    }

    /// <summary>What turns sums of blocks into the row's unit.</summary>
    protected void BroadcastUnit(AssemblerRegisterZMM register) =>
        Broadcast(register, BitConverter.SingleToUInt32Bits(1f / (1 << RowPacking.Int8SumBits)));

    private void Broadcast(AssemblerRegisterZMM register, uint value)
    {
        Code.mov(Count32, value);
        Code.vpbroadcastd(register, Count32);
    }

    private static AssemblerRegister32 Count32 => r11d;
}
