using Iced.Intel;
using Sluice.Cpu.Weights;
using static Iced.Intel.AssemblerRegisters;

namespace Sluice.Cpu.Assembly;

/// <summary>
/// Some rows times a strip of 16 outputs of quantised weights: <c>vpdpbusd</c> on four columns at a time, one register of outputs to a row. A
/// block of 32 columns is unpacked into eight registers; each row's products with it are summed in int32, exactly, become a float32 that
/// has the block's power of two already, and are added: <c>sum += products * weights' factor</c>. What the weights subtract comes once for
/// a superblock: <c>sum -= products of m and the blocks' sums * dmin</c>, before its blocks. The row's factor comes last.
/// </summary>
/// <remarks>See <see cref="QuantisedFormat"/> and <see cref="RowPacking"/> for the layouts.</remarks>
internal sealed class Int8Tile(QuantisedFormat format, int rows) : TileAssembler
{
    private const byte OrOfAnd = 0xF8;
    private const int Record = RowPacking.Int8RecordBytes;

    private AssemblerRegisterZMM[][] _sums = [];
    private AssemblerRegisterZMM[] _weights = [];
    private AssemblerRegisterZMM[] _products = [];
    private AssemblerRegisterZMM[] _singles = [];
    private AssemblerRegisterZMM _first;
    private AssemblerRegisterZMM _second;
    private AssemblerRegisterZMM _factor;
    private AssemblerRegisterZMM _offsetFactor;
    private AssemblerRegisterZMM _unit;
    private AssemblerRegisterZMM _nibble;
    private AssemblerRegisterZMM _high;
    private AssemblerRegisterZMM _shifted;
    private int _rowsAtOnce;

    protected override void Reserve()
    {
        // Rows in step with each other, since a row's products wait for one another. The longest kernel, Q6_K's, takes all 32 registers.
        _rowsAtOnce = Math.Min(rows, format.Factors == FactorKind.Single ? 6 : format.Factors == FactorKind.WithOffset ? 2 : 3);
        _sums = [.. Enumerable.Range(0, rows).Select(_ => Take(1))];
        _weights = Take(8);
        _products = Take(_rowsAtOnce * Halves);
        _first = Take();
        if (format.Factors == FactorKind.ByHalves)
            _second = Take();
        if (format.Factors != FactorKind.Single)
            _factor = Take();
        if (format.Factors == FactorKind.WithOffset)
            (_offsetFactor, _unit) = (Take(), Take());

        // Few rows leave registers for all of a superblock's factors: memory is then read strictly in order.
        if (format.Factors == FactorKind.Single && rows <= 4)
            _singles = Take(QuantisedFormat.Blocks);
        if (format.LowBytes != 512)
            _nibble = Take();
        if (format.HighBits > 0)
        {
            _high = Take();
            _shifted = Take();
        }
    }

    protected override void Body()
    {
        if (format.LowBytes != 512)
            Broadcast(_nibble, 0x0F0F0F0Fu);
        if (format.HighBits > 0)
            Broadcast(_high, format.HighBits == 1 ? 0x10101010u : 0x30303030u);
        if (format.Factors == FactorKind.WithOffset)
            Broadcast(_unit, BitConverter.SingleToUInt32Bits(1f / (1 << RowPacking.Int8SumBits)));
        BeginSums(_sums);
        if (rows > 2)
            PrefetchOutputs();
        Repeat(nameof(TileArguments.Blocks), () =>
        {
            if (format.Factors != FactorKind.Single)
                Code.vcvtph2ps(_factor, __ymmword_ptr[Weights]);
            if (format.Factors == FactorKind.WithOffset)
            {
                // In units of the sums.
                Code.vcvtph2ps(_offsetFactor, __ymmword_ptr[Weights + 32]);
                Code.vmulps(_offsetFactor, _offsetFactor, _unit);
            }

            for (int block = 0; block < _singles.Length; block++)
                Code.vcvtph2ps(_singles[block], __ymmword_ptr[Weights + (32 * block)]);
            if (format.Factors == FactorKind.WithOffset)
                SubtractOffsets();
            for (int block = 0; block < QuantisedFormat.Blocks; block++)
                Block(block);
            Code.add(Weights, format.SuperBytes);
            Code.add(Rows, QuantisedFormat.Blocks * rows * Record);
        });
        MultiplyWithRowFactors();
        StoreSums(_sums);
    }

    private int Halves => format.Factors == FactorKind.ByHalves ? 2 : 1;

    private void Block(int block)
    {
        Prefetch(block);
        LoadFactors(block);
        LoadElements(block);
        for (int row = 0; row < rows; row += _rowsAtOnce)
            AddRows(block, row, Math.Min(_rowsAtOnce, rows - row));
    }

    /// <summary>A block's products with some rows.</summary>
    private void AddRows(int block, int firstRow, int count)
    {
        int quads = 8 / Halves;
        for (int i = 0; i < count * Halves; i++)
            Code.vpbroadcastd(_products[i], __dword_ptr[Rows + (RecordOf(block, firstRow + (i / Halves)) + RowPacking.Int8InitialAt + (4 * (i % Halves)))]);
        for (int quad = 0; quad < quads; quad++)
        {
            for (int i = 0; i < count * Halves; i++)
            {
                int of = (i % Halves * quads) + quad;
                Code.vpdpbusd(_products[i], _weights[of], __dword_bcst[Rows + (RecordOf(block, firstRow + (i / Halves)) + (4 * of))]);
            }
        }

        for (int i = 0; i < count * Halves; i++)
            Code.vsubps(_products[i], _products[i], __dword_bcst[Rows + (RecordOf(block, firstRow + (i / Halves)) + RowPacking.Int8MagicAt)]);
        for (int i = 0; i < count * Halves; i++)
            Code.vfmadd231ps(_sums[firstRow + (i / Halves)][0], _products[i], i % Halves == 0 ? _first : _second);
    }

    /// <summary>What a superblock subtracts: pairs of blocks' m times pairs of sums, in 16 bits.</summary>
    private void SubtractOffsets()
    {
        const int Pairs = QuantisedFormat.Blocks / 2;
        for (int pair = 0; pair < Pairs; pair++)
            Code.vpmovzxbw(_weights[pair], __ymmword_ptr[Weights + (192 + (32 * pair))]);
        for (int row = 0; row < rows; row += _rowsAtOnce)
        {
            int count = Math.Min(_rowsAtOnce, rows - row);
            for (int i = 0; i < count; i++)
                Code.vpxord(_products[i], _products[i], _products[i]);
            for (int pair = 0; pair < Pairs; pair++)
            {
                for (int i = 0; i < count; i++)
                    Code.vpdpwssd(_products[i], _weights[pair], __dword_bcst[Rows + (RecordOf(2 * pair, row + i) + RowPacking.Int8SharedAt)]);
            }

            for (int i = 0; i < count; i++)
            {
                Code.vcvtdq2ps(_products[i], _products[i]);
                Code.vfnmadd231ps(_sums[row + i][0], _products[i], _offsetFactor);
            }
        }
    }

    /// <summary>The factors are in the last records of the last superblock, which <see cref="TileAssembler.Rows"/> has just passed.</summary>
    private void MultiplyWithRowFactors()
    {
        Label goesOn = Code.CreateLabel();
        Code.cmp(__qword_ptr[Arguments + Field(nameof(TileArguments.Finishes))], 0);
        Code.je(goesOn);
        for (int row = 0; row < rows; row++)
            Code.vmulps(_sums[row][0], _sums[row][0], __dword_bcst[Rows + (((row - rows) * Record) + RowPacking.Int8SharedAt)]);
        Code.Label(ref goesOn);
        Code.nop();
    }

    private int RecordOf(int block, int row) => ((block * rows) + row) * Record;

    private void LoadFactors(int block)
    {
        switch (format.Factors)
        {
            case FactorKind.Single when _singles.Length > 0:
                _first = _singles[block];
                break;
            case FactorKind.Single:
                Code.vcvtph2ps(_first, __ymmword_ptr[Weights + (32 * block)]);
                break;
            case FactorKind.WithOffset:
                Code.vpmovzxbd(_first, __xmmword_ptr[Weights + (64 + (16 * block))]);
                Code.vcvtdq2ps(_first, _first);
                Code.vmulps(_first, _first, _factor);
                break;
            default:
                Code.vpmovsxbd(_first, __xmmword_ptr[Weights + (64 + (32 * block))]);
                Code.vcvtdq2ps(_first, _first);
                Code.vmulps(_first, _first, _factor);
                Code.vpmovsxbd(_second, __xmmword_ptr[Weights + (80 + (32 * block))]);
                Code.vcvtdq2ps(_second, _second);
                Code.vmulps(_second, _second, _factor);
                break;
        }
    }

    private void LoadElements(int block)
    {
        int low = format.FactorBytes + (block * format.LowBytes);
        if (format.LowBytes == 512)
        {
            for (int quad = 0; quad < 8; quad++)
                Code.vmovups(_weights[quad], __zmmword_ptr[Weights + (low + (64 * quad))]);
            return;
        }

        for (int quad = 0; quad < 4; quad++)
        {
            Code.vmovups(_weights[quad], __zmmword_ptr[Weights + (low + (64 * quad))]);
            Code.vpsrlw(_weights[quad + 4], _weights[quad], 4);
            Code.vpandd(_weights[quad + 4], _weights[quad + 4], _nibble);
            Code.vpandd(_weights[quad], _weights[quad], _nibble);
        }

        int high = format.FactorBytes + (QuantisedFormat.Blocks * format.LowBytes) + (block * format.HighBytes);
        for (int quad = 0; quad < 8 && format.HighBits > 0; quad++)
        {
            // Where the bits of this quad are, and where they belong: above the lower four.
            (int at, int bit) = format.HighBits == 1 ? (0, quad) : (64 * (quad / 4), 2 * (quad % 4));
            Code.vmovups(_shifted, __zmmword_ptr[Weights + (high + at)]);
            if (bit < 4)
                Code.vpsllw(_shifted, _shifted, (byte)(4 - bit));
            else if (bit > 4)
                Code.vpsrlw(_shifted, _shifted, (byte)(bit - 4));
            Code.vpternlogd(_weights[quad], _shifted, _high, OrOfAnd);
        }
    }

    /// <summary>
    /// Fetches a block's share of what comes later. A tile of several rows takes longer for a superblock than the hardware looks ahead, and the
    /// first level's few outstanding loads are the rows': 8 KiB ahead, into the second level. One or two rows are the hardware's
    /// own business almost; how they are helped best was found by trying, on Zen 4.
    /// </summary>
    private void Prefetch(int block)
    {
        bool few = rows <= 2;
        int lines = format.SuperBytes / 64;
        int ahead = !few || format.HighBits == 2 ? 8192 : format.LowBytes == 512 ? 2560 : 2048;
        for (int line = block * lines / QuantisedFormat.Blocks; line < (block + 1) * lines / QuantisedFormat.Blocks; line++)
        {
            if (few && format.LowBytes != 512 && format.HighBits < 2)
                Code.prefetchnta(__byte_ptr[Weights + (ahead + (64 * line))]);
            else
                Code.prefetcht1(__byte_ptr[Weights + (ahead + (64 * line))]);
        }
    }

    /// <summary>Fetches the outputs of the tile that usually comes next, which would else wait for its sums or keep its stores waiting.</summary>
    private void PrefetchOutputs()
    {
        Code.mov(Scratch, Outputs);
        Code.imul(Count, Stride, rows);
        Code.add(Scratch, Count);
        for (int row = 0; row < rows; row++)
        {
            Code.prefetchw(__byte_ptr[Scratch]);
            Code.add(Scratch, Stride);
        }
    }

    private void Broadcast(AssemblerRegisterZMM register, uint value)
    {
        Code.mov(eax, value);
        Code.vpbroadcastd(register, eax);
    }
}
