using Iced.Intel;
using Sluice.Cpu.Weights;
using static Iced.Intel.AssemblerRegisters;

namespace Sluice.Cpu.Assembly;

/// <summary>
/// As <see cref="Int8Tile"/>, with the same bits, where <c>tdpbsud</c> sums the products of a block: a tile of rows, which lie in records, times a tile of
/// weights, [columns / 4, 16 outputs x 4 columns]. Unpacked weights and sums go through memory, some blocks ahead of what takes them: behind the arguments, which
/// begin a cache line and have <see cref="MemoryBytes"/>.
/// </summary>
internal sealed class AmxInt8Tile(QuantisedFormat format, int rows) : Int8Tile(format, rows)
{
    /// <summary>Bytes that the arguments and what follows them take.</summary>
    public const int MemoryBytes = SumsStart + ((MultipliedAhead + 1) * 2 * RowPacking.TileRows * AmxShapes.RowBytes);

    // Blocks from unpacking to products, and from products to sums.
    private const int UnpackedAhead = 2;
    private const int MultipliedAhead = 4;

    private const int WeightsStart = 512;
    private const int BlockBytes = 512;
    private const int SumsStart = WeightsStart + ((UnpackedAhead + 1) * BlockBytes);

    private static readonly AssemblerRegisterTMM[] Sums = [tmm0, tmm1, tmm2, tmm3];

    private readonly QuantisedFormat _format = format;
    private readonly int _rows = rows;

    // Outputs are not needed until the end.
    private static AssemblerRegister64 RecordStride => Outputs;

    private static AssemblerRegister64 TileStride => Stride;

    protected override void Begin()
    {
        Code.mov(r9d, RowPacking.Int8RecordBytes);
        Code.mov(r10d, AmxShapes.RowBytes);
    }

    protected override void Finish()
    {
        Code.mov(Outputs, __qword_ptr[Arguments + Field(nameof(TileArguments.Outputs))]);
        Code.mov(Stride, __qword_ptr[Arguments + Field(nameof(TileArguments.OutputStride))]);
    }

    protected override void AddBlocks()
    {
        for (int step = 0; step < QuantisedFormat.Blocks + UnpackedAhead + MultipliedAhead; step++)
        {
            if (step < QuantisedFormat.Blocks && _format.LowBytes != BlockBytes)
                Unpack(step);
            if (step - UnpackedAhead is >= 0 and < QuantisedFormat.Blocks and var multiplied)
                Multiply(multiplied);
            if (step - UnpackedAhead - MultipliedAhead is >= 0 and var added)
            {
                Prefetch(added);
                LoadFactors(added);
                AddRows(added);
            }
        }
    }

    protected override void AddProducts(AssemblerRegisterZMM[] products, int block, int firstRow, int count)
    {
        for (int i = 0; i < count; i++)
            Code.vpaddd(products[i], products[i], __zmmword_ptr[Arguments + (SumsAt(block, i % Halves) + (64 * (firstRow + (i / Halves))))]);
    }

    private void Unpack(int block)
    {
        LoadElements(block);
        for (int quad = 0; quad < Quads.Length; quad++)
            Code.vmovups(__zmmword_ptr[Arguments + (WeightsAt(block) + (64 * quad))], Quads[quad]);
    }

    private void Multiply(int block)
    {
        int bytes = RowPacking.BlockColumns / Halves;
        for (int half = 0; half < Halves; half++)
        {
            int turn = (block * Halves) + half;
            (AssemblerRegisterTMM sum, AssemblerRegisterTMM row, AssemblerRegisterTMM weight) =
                (Sums[turn % Sums.Length], turn % 2 == 0 ? tmm4 : tmm5, turn % 2 == 0 ? tmm6 : tmm7);
            Code.tileloadd(row, __[Rows + (RecordStride * 1) + (RecordOf(block, 0) + (half * bytes))]);
            if (_format.LowBytes == BlockBytes)
                Code.tileloadd(weight, __[Weights + (TileStride * 1) + (_format.FactorBytes + (block * _format.LowBytes))]);
            else
                Code.tileloadd(weight, __[Arguments + (TileStride * 1) + (WeightsAt(block) + (16 * half * bytes))]);
            Code.tilezero(sum);
            Code.tdpbsud(sum, row, weight);
            Code.tilestored(__[Arguments + (TileStride * 1) + SumsAt(block, half)], sum);
        }
    }

    private static int WeightsAt(int block) => WeightsStart + (block % (UnpackedAhead + 1) * BlockBytes);

    private int SumsAt(int block, int half) =>
        SumsStart + ((((block % (MultipliedAhead + 1)) * Halves) + half) * 64 * _rows);
}
