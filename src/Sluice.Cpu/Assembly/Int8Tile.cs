using Iced.Intel;
using Sluice.Cpu.Weights;
using static Iced.Intel.AssemblerRegisters;

namespace Sluice.Cpu.Assembly;

/// <summary>
/// One to <see cref="MostRows"/> rows times a strip of 16 outputs of quantised weights: <c>vpdpbusd</c> on four columns at a time, one register of outputs to a row. A
/// block of 32 columns is unpacked into eight registers; each row's products with it are summed in int32, exactly, become a float32 that
/// has the block's power of two already, and are added: <c>sum += products * weights' factor</c>. What the weights subtract comes once for
/// a superblock: <c>sum -= products of m and the blocks' sums * dmin</c>, before its blocks. The row's factor comes last.
/// </summary>
internal sealed class Int8Tile(QuantisedFormat format, int rows) : QuantisedTile(format)
{
    /// <summary>Rows from one more than which on <see cref="Int8PanelTile"/> is as fast.</summary>
    public const int MostRows = 4;

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

    protected override void Reserve()
    {
        _sums = [.. Enumerable.Range(0, rows).Select(_ => Take(1))];
        _weights = Take(Quads);
        _products = Take(rows * Halves);
        _first = Take();
        if (Format.Factors == FactorKind.ByHalves)
            _second = Take();
        if (Format.Factors != FactorKind.Single)
            _factor = Take();
        if (Format.Factors == FactorKind.WithOffset)
            (_offsetFactor, _unit) = (Take(), Take());

        // All of a superblock's factors at once: memory is then read strictly in order.
        if (Format.Factors == FactorKind.Single)
            _singles = Take(QuantisedFormat.Blocks);
        ReserveForUnpacking();
    }

    protected override void Body()
    {
        BroadcastMasks();
        if (Format.Factors == FactorKind.WithOffset)
            BroadcastUnit(_unit);
        ZeroSums(_sums);
        Repeat(nameof(TileArguments.Blocks), () =>
        {
            LoadSuperFactors(Weights, _factor, _offsetFactor, _unit);
            for (int block = 0; block < _singles.Length; block++)
                LoadFactors(block, Weights, _factor, _singles[block], _second);
            if (Format.Factors == FactorKind.WithOffset)
                SubtractOffsets();
            for (int block = 0; block < QuantisedFormat.Blocks; block++)
                Block(block);
            Code.add(Weights, Format.SuperBytes);
            Code.add(Rows, QuantisedFormat.Blocks * rows * Record);
        });

        // The factors are in the last records of the last superblock, which the rows have just passed.
        for (int row = 0; row < rows; row++)
            Code.vmulps(_sums[row][0], _sums[row][0], __dword_bcst[Rows + (((row - rows) * Record) + RowPacking.Int8SharedAt)]);
        StoreSums(_sums);
    }

    private void Block(int block)
    {
        Prefetch(block);
        if (_singles.Length > 0)
            _first = _singles[block];
        else
            LoadFactors(block, Weights, _factor, _first, _second);
        LoadElements(block, Weights, _weights);
        AddRows(block);
    }

    /// <summary>A block's products with the rows, all in step, since a row's products wait for one another.</summary>
    private void AddRows(int block)
    {
        int quads = Quads / Halves;
        for (int i = 0; i < rows * Halves; i++)
            Code.vpbroadcastd(_products[i], __dword_ptr[Rows + (RecordOf(block, i / Halves) + RowPacking.Int8InitialAt + (4 * (i % Halves)))]);
        for (int quad = 0; quad < quads; quad++)
        {
            for (int i = 0; i < rows * Halves; i++)
            {
                int of = (i % Halves * quads) + quad;
                Code.vpdpbusd(_products[i], _weights[of], __dword_bcst[Rows + (RecordOf(block, i / Halves) + (4 * of))]);
            }
        }

        for (int i = 0; i < rows * Halves; i++)
            Code.vsubps(_products[i], _products[i], __dword_bcst[Rows + (RecordOf(block, i / Halves) + RowPacking.Int8MagicAt)]);
        for (int i = 0; i < rows * Halves; i++)
            Code.vfmadd231ps(_sums[i / Halves][0], _products[i], i % Halves == 0 ? _first : _second);
    }

    /// <summary>What a superblock subtracts: pairs of blocks' m times pairs of sums, in 16 bits.</summary>
    private void SubtractOffsets()
    {
        LoadOffsets(Weights, _weights);
        for (int row = 0; row < rows; row++)
            Code.vpxord(_products[row], _products[row], _products[row]);
        for (int pair = 0; pair < BlockPairs; pair++)
        {
            for (int row = 0; row < rows; row++)
                Code.vpdpwssd(_products[row], _weights[pair], __dword_bcst[Rows + (RecordOf(2 * pair, row) + RowPacking.Int8SharedAt)]);
        }

        for (int row = 0; row < rows; row++)
        {
            Code.vcvtdq2ps(_products[row], _products[row]);
            Code.vfnmadd231ps(_sums[row][0], _products[row], _offsetFactor);
        }
    }

    private int RecordOf(int block, int row) => ((block * rows) + row) * Record;

    /// <summary>
    /// Fetches a block's share of what comes later. One or two rows are the hardware's own business almost; how they are helped best was found by trying,
    /// on Zen 4.
    /// </summary>
    private void Prefetch(int block)
    {
        bool few = rows <= 2;
        int ahead = !few || Format.HighBits == 2 ? 8192 : Format.LowBytes == 512 ? 2560 : 2048;
        foreach (int line in LinesOf(block))
        {
            if (few && Format.LowBytes != 512 && Format.HighBits < 2)
                Code.prefetchnta(__byte_ptr[Weights + (ahead + line)]);
            else if (few)
                Code.prefetcht1(__byte_ptr[Weights + (ahead + line)]);
            else
                Code.prefetcht0(__byte_ptr[Weights + (ahead + line)]);
        }
    }
}
