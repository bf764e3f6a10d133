using System.Runtime.InteropServices;
using Sluice.Backends;
using Sluice.Core;

namespace Sluice.Cuda.Memory;

/// <summary>
/// Experts as the kernel wants them: tiles of 64 x 64 bfloat16, each a plain copy away from shared memory. Rows of gate and up alternate
/// by eights, and rows of down are permuted within sixteens, so that what belongs together meets in one thread; sixteen-byte groups of a row are
/// swizzled as wgmma reads them. The formula is in experts.cu.
/// </summary>
internal static class ExpertPacking
{
    private const int Tile = 64;

    public static CudaExperts Load(IReadOnlyList<ExpertSource> experts, DeviceHeap heap, WeightUpload upload)
    {
        int hidden = experts[0].Gate.Columns;
        int inner = experts[0].Gate.Rows;
        if (hidden % 8 != 0 || inner % 8 != 0)
            throw new BackendException($"cuda, {experts[0].Gate.Name}: expected widths of a multiple of 8, found {inner} and {hidden}; use --device cpu");
        int gateUpElements = PackedElements(2 * inner, hidden);
        int downElements = PackedElements(hidden, inner);
        ulong gateUp = heap.Allocate(checked((long)experts.Count * gateUpElements * 2), "experts");
        ulong down = heap.Allocate(checked((long)experts.Count * downElements * 2), "experts");
        ushort[] packed = new ushort[Math.Max(gateUpElements, downElements)];
        for (int e = 0; e < experts.Count; e++)
        {
            ExpertSource expert = experts[e];
            Span<ushort> target = packed.AsSpan(0, gateUpElements);
            target.Clear();
            Pack(expert.Gate, target, hidden, static row => (row / 8 * 16) + (row % 8));
            Pack(expert.Up, target, hidden, static row => (row / 8 * 16) + 8 + (row % 8));
            upload.Copy(MemoryMarshal.AsBytes(target), gateUp + ((ulong)e * (ulong)gateUpElements * 2));

            target = packed.AsSpan(0, downElements);
            target.Clear();
            Pack(expert.Down, target, inner, PlaceOfDown);
            upload.Copy(MemoryMarshal.AsBytes(target), down + ((ulong)e * (ulong)downElements * 2));
        }

        return new CudaExperts(gateUp, down, experts.Count, hidden, inner);
    }

    /// <summary>Where a row of down goes: the inverse of "packed row R holds row R / 16 * 16 + R % 8 / 2 * 4 + R / 8 % 2 * 2 + R % 2".</summary>
    internal static int PlaceOfDown(int row)
    {
        int within = row % 16;
        return (row / 16 * 16) + (within / 2 % 2 * 8) + (within / 4 * 2) + (within % 2);
    }

    private static int PackedElements(int rows, int columns) => checked((rows + Tile - 1) / Tile * Tile * ((columns + Tile - 1) / Tile * Tile));

    private static void Pack(MatrixSource source, Span<ushort> target, int columns, Func<int, int> place)
    {
        int columnTiles = (columns + Tile - 1) / Tile;
        BFloat16Rows converted = new(source);
        Span<ushort> values = new ushort[columns];
        for (int row = 0; row < source.Rows; row++)
        {
            converted.Read(row, values);
            int packed = place(row);
            int start = (packed / Tile * columnTiles * Tile * Tile) + (packed % Tile * Tile);
            for (int column = 0; column < columns; column += 8)
            {
                int group = (column / 8 % 8) ^ (packed % 8);
                values.Slice(column, 8).CopyTo(target[(start + (column / Tile * Tile * Tile) + (group * 8))..]);
            }
        }
    }
}
