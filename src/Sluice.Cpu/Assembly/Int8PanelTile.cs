using Iced.Intel;
using Sluice.Cpu.Weights;
using static Iced.Intel.AssemblerRegisters;

namespace Sluice.Cpu.Assembly;

/// <summary>
/// Any number of rows times a panel of quantised weights, that is two strips: the arithmetic of <see cref="Int8Tile"/>, to the bit. A block is unpacked
/// into sixteen registers once, then all rows pass by; four columns of a row are loaded once for both strips. Sums are in memory, in the first level:
/// a load and a store for each eight products, where registers would hold few rows, and every load of theirs would serve one strip alone.
/// </summary>
internal sealed class Int8PanelTile(QuantisedFormat format) : QuantisedTile(format)
{
    /// <summary>Bytes of the sums of a row.</summary>
    public const int SumBytes = Strips * 64;

    private const int Strips = 2;
    private const int Record = RowPacking.Int8RecordBytes;

    private readonly AssemblerRegisterZMM[][] _weights = new AssemblerRegisterZMM[Strips][];
    private readonly AssemblerRegisterZMM[][] _products = new AssemblerRegisterZMM[Strips][];
    private AssemblerRegisterZMM[] _first = [];
    private AssemblerRegisterZMM[] _second = [];
    private AssemblerRegisterZMM[] _factor = [];
    private AssemblerRegisterZMM[] _offsetFactor = [];
    private AssemblerRegisterZMM _row;

    // Of the second strip. What outputs and their stride are in is needed for them at the end alone.
    private static AssemblerRegister64 MoreWeights => Scratch;

    private static AssemblerRegister64 Sums => Outputs;

    private static AssemblerRegister64 StripBytes => Stride;

    // The caller's, so it is put back.
    private static AssemblerRegister64 Extra => rbx;

    protected override void Reserve()
    {
        for (int strip = 0; strip < Strips; strip++)
        {
            _weights[strip] = Take(Quads);
            _products[strip] = Take(2);
        }

        _first = Take(Strips);
        _second = Format.Factors == FactorKind.ByHalves ? Take(Strips) : new AssemblerRegisterZMM[Strips];
        _factor = Format.Factors != FactorKind.Single ? Take(Strips) : new AssemblerRegisterZMM[Strips];
        _offsetFactor = Format.Factors == FactorKind.WithOffset ? Take(Strips) : new AssemblerRegisterZMM[Strips];
        _row = Take();
        ReserveForUnpacking();
    }

    protected override void Body()
    {
        Code.mov(__qword_ptr[Arguments + Field(nameof(TileArguments.SavedExtra))], Extra);
        BroadcastMasks();
        ClearSums();
        Code.mov(StripBytes, __qword_ptr[Arguments + Field(nameof(TileArguments.StripBytes))]);
        Code.lea(MoreWeights, __[Weights + StripBytes]);
        Label super = Code.CreateLabel();
        Code.Label(ref super);
        if (Format.Factors == FactorKind.WithOffset)
            BroadcastUnit(_row);
        for (int strip = 0; strip < Strips; strip++)
            LoadSuperFactors(WeightsOf(strip), _factor[strip], _offsetFactor[strip], _row);
        if (Format.Factors == FactorKind.WithOffset)
            SubtractOffsets();
        for (int block = 0; block < QuantisedFormat.Blocks; block++)
            Block(block);
        Code.add(Weights, Format.SuperBytes);
        Code.add(MoreWeights, Format.SuperBytes);
        Code.dec(__qword_ptr[Arguments + Field(nameof(TileArguments.Blocks))]);
        Code.jnz(super);
        StoreRows();
        Code.mov(Extra, __qword_ptr[Arguments + Field(nameof(TileArguments.SavedExtra))]);
    }

    private static AssemblerRegister64 WeightsOf(int strip) => strip == 0 ? Weights : MoreWeights;

    /// <summary>Zero, and outputs are fetched: they are needed when all else is done.</summary>
    private void ClearSums()
    {
        Code.mov(Extra, Outputs);
        Code.vpxord(_row, _row, _row);
        ForEachRow(() =>
        {
            Code.vmovups(__zmmword_ptr[Sums], _row);
            Code.vmovups(__zmmword_ptr[Sums + 64], _row);
            Code.prefetchw(__byte_ptr[Extra]);
            Code.prefetchw(__byte_ptr[Extra + 64]);
            Code.add(Extra, Stride);
        });
    }

    private void Block(int block)
    {
        Prefetch(block);
        for (int strip = 0; strip < Strips; strip++)
        {
            LoadFactors(block, WeightsOf(strip), _factor[strip], _first[strip], _second[strip]);
            LoadElements(block, WeightsOf(strip), _weights[strip]);
        }

        ForEachRow(() =>
        {
            for (int half = 0; half < 2; half++)
            {
                if (half < Halves)
                {
                    Code.vpbroadcastd(_products[0][half], __dword_ptr[Rows + (RowPacking.Int8InitialAt + (4 * half))]);
                    Code.vmovdqa32(_products[1][half], _products[0][half]);
                }
                else
                {
                    Code.vpxord(_products[0][half], _products[0][half], _products[0][half]);
                    Code.vpxord(_products[1][half], _products[1][half], _products[1][half]);
                }

                for (int quad = half * Quads / 2; quad < (half + 1) * Quads / 2; quad++)
                {
                    Code.vpbroadcastd(_row, __dword_ptr[Rows + (4 * quad)]);
                    for (int strip = 0; strip < Strips; strip++)
                        Code.vpdpbusd(_products[strip][half], _weights[strip][quad], _row);
                }
            }

            Code.vbroadcastss(_row, __dword_ptr[Rows + RowPacking.Int8MagicAt]);
            for (int strip = 0; strip < Strips; strip++)
            {
                AssemblerRegisterZMM sum = _products[strip][0], other = _products[strip][1];
                if (Halves == 1)
                    Code.vpaddd(sum, sum, other);
                else
                    Code.vsubps(other, other, _row);
                Code.vsubps(sum, sum, _row);
                Code.vfmadd213ps(sum, _first[strip], __zmmword_ptr[Sums + (64 * strip)]);
                if (Halves == 2)
                    Code.vfmadd231ps(sum, other, _second[strip]);
                Code.vmovups(__zmmword_ptr[Sums + (64 * strip)], sum);
            }

            Code.add(Rows, Record);
        });
    }

    private void SubtractOffsets()
    {
        for (int strip = 0; strip < Strips; strip++)
            LoadOffsets(WeightsOf(strip), _weights[strip]);

        // From a row's record of a block to that of the next block but one, and three times that.
        Code.mov(Extra, __qword_ptr[Arguments + Field(nameof(TileArguments.RowsStep))]);
        Code.add(Extra, Extra);
        Code.lea(Stride, __[Extra + (Extra * 2)]);
        AssemblerMemoryOperand[] shared =
        [
            __dword_ptr[Rows + RowPacking.Int8SharedAt], __dword_ptr[Rows + Extra + RowPacking.Int8SharedAt],
            __dword_ptr[Rows + (Extra * 2) + RowPacking.Int8SharedAt], __dword_ptr[Rows + Stride + RowPacking.Int8SharedAt],
        ];
        ForEachRow(() =>
        {
            for (int strip = 0; strip < Strips; strip++)
                Code.vpxord(_products[strip][0], _products[strip][0], _products[strip][0]);
            for (int pair = 0; pair < BlockPairs; pair++)
            {
                Code.vpbroadcastd(_row, shared[pair]);
                for (int strip = 0; strip < Strips; strip++)
                    Code.vpdpwssd(_products[strip][0], _weights[strip][pair], _row);
            }

            for (int strip = 0; strip < Strips; strip++)
            {
                AssemblerRegisterZMM sum = _products[strip][0];
                Code.vcvtdq2ps(sum, sum);
                Code.vfnmadd213ps(sum, _offsetFactor[strip], __zmmword_ptr[Sums + (64 * strip)]);
                Code.vmovups(__zmmword_ptr[Sums + (64 * strip)], sum);
            }

            Code.add(Rows, Record);
        });
        Code.sub(Rows, __qword_ptr[Arguments + Field(nameof(TileArguments.RowsStep))]);
        Code.mov(StripBytes, __qword_ptr[Arguments + Field(nameof(TileArguments.StripBytes))]);
    }

    /// <summary>Sums times their rows' factors, which are in the last records of all, become the outputs.</summary>
    private void StoreRows()
    {
        Code.sub(Rows, __qword_ptr[Arguments + Field(nameof(TileArguments.RowsStep))]);
        Code.mov(Extra, __qword_ptr[Arguments + Field(nameof(TileArguments.Outputs))]);
        Code.mov(Stride, __qword_ptr[Arguments + Field(nameof(TileArguments.OutputStride))]);
        ForEachRow(() =>
        {
            Code.vbroadcastss(_row, __dword_ptr[Rows + RowPacking.Int8SharedAt]);
            for (int strip = 0; strip < Strips; strip++)
            {
                Code.vmulps(_products[strip][0], _row, __zmmword_ptr[Sums + (64 * strip)]);
                Code.vmovups(__zmmword_ptr[Extra + (64 * strip)], _products[strip][0]);
            }

            Code.add(Rows, Record);
            Code.add(Extra, Stride);
        });
    }

    /// <summary>Repeats something for each row, its sums at <see cref="Sums"/>.</summary>
    private void ForEachRow(Action body)
    {
        Code.mov(Sums, __qword_ptr[Arguments + Field(nameof(TileArguments.Sums))]);
        Repeat(nameof(TileArguments.Height), () =>
        {
            body();
            Code.add(Sums, SumBytes);
        });
    }

    /// <summary>
    /// Fetches a block's share of the next panel, so that memory is never idle while rows pass by, and of what comes next here: from the second level, or from
    /// memory where this is the first panel.
    /// </summary>
    private void Prefetch(int block)
    {
        const int Ahead = 4096;
        foreach (int line in LinesOf(block))
        {
            for (int strip = 0; strip < Strips; strip++)
            {
                Code.prefetcht0(__byte_ptr[WeightsOf(strip) + (Ahead + line)]);
                Code.prefetcht1(__byte_ptr[WeightsOf(strip) + (StripBytes * Strips) + line]);
            }
        }
    }
}
