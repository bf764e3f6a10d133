using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Kernels;
using Sluice.Cpu.Memory;
using Sluice.Cpu.Simd;
using Sluice.Cpu.Weights;
using Sluice.Memory;
using Sluice.Tests.Operations;

namespace Sluice.Cpu.Tests;

/// <summary>What AMX's products are made of: bits against its arithmetic in scalars where there is AMX, everything around it anywhere.</summary>
public sealed class AmxTests
{
    [Theory]
    [InlineData(0, 0, 0, CpuFeatures.None)]
    [InlineData(1 << 11, 0, 1 << 5, CpuFeatures.Avx512Vnni | CpuFeatures.Avx512BFloat16)]
    [InlineData(1 << 11, (1 << 22) | (1 << 24) | (1 << 25), 1 << 5, CpuFeatures.All)]
    [InlineData(0, (1 << 22) | (1 << 24), 0, CpuFeatures.AmxBFloat16)]
    [InlineData(0, (1 << 24) | (1 << 25), 0, CpuFeatures.AmxInt8)]
    [InlineData(0, (1 << 22) | (1 << 25), 0, CpuFeatures.None)] // no tiles: the system hides them
    internal void The_processor_tells_what_it_has(int ecx, int edx, int subleaf1Eax, CpuFeatures expected) =>
        Assert.Equal(expected, CpuFeatureDetection.OfLeaf7(ecx, edx, subleaf1Eax));

    [Fact]
    public void Shapes_of_tiles_are_as_the_processor_reads_them()
    {
        AmxShapes shapes = AmxShapes.Of(19, 7);
        byte[] bytes = MemoryMarshal.AsBytes(new ReadOnlySpan<AmxShapes>(in shapes)).ToArray();
        Assert.Equal(64, bytes.Length);
        Assert.Equal(1, bytes[0]);
        Assert.All(bytes[1..16], value => Assert.Equal(0, value));
        Assert.Equal([64, 64, 64, 64, 28, 28, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0], MemoryMarshal.Cast<byte, ushort>(bytes.AsSpan(16, 32)).ToArray());
        Assert.Equal([16, 16, 3, 3, 16, 3, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0], bytes[48..]);
    }

    [Fact]
    public void Tiles_of_AMX_sum_as_their_instruction_does()
    {
        Assert.SkipUnless(CpuFeatureDetection.Detect().HasFlag(CpuFeatures.AmxBFloat16), "this processor has no AMX, or the system withholds it");
        const int Rows = 35;
        const int Outputs = 70;
        Random random = new(10);
        using CpuBackend backend = new(new CpuOptions { Threads = 2 });
        foreach (int columns in new[] { 1, 30, 32, 75, 1344 })
        {
            RandomMatrix weights = new(random, DType.BF16, Outputs, columns);
            Matrix matrix = backend.LoadMatrix(MatrixUse.Linear, weights);
            float[] x = Rig.Normal(random, Rows * columns);
            float[] found = FastProductTests.Linear(backend, matrix, x, Rows);
            float[] expected = new float[Rows * Outputs];
            for (int output = 0; output < Outputs; output++)
            {
                double[] decoded = FastProductTests.Decode(weights, output);
                for (int row = 0; row < Rows; row++)
                    expected[(row * Outputs) + output] = InOrderOfTiles(decoded, FastProductTests.Rounded(x.AsSpan(row * columns, columns), DType.BF16));
            }

            OperationTests.AssertSame(expected, found, $"{columns} columns");
        }

        RandomMatrix scaled = new(random, DType.F8E4M3, Outputs, 736, 128);
        float[] values = Rig.Normal(random, Rows * 736);
        float[] all = FastProductTests.Linear(backend, backend.LoadMatrix(MatrixUse.Linear, scaled), values, Rows);
        float[] inBlocks = [.. Enumerable.Range(0, Rows).SelectMany(row =>
        {
            double[] rounded = FastProductTests.Rounded(values.AsSpan(row * 736, 736), DType.BF16);
            return Enumerable.Range(0, Outputs).Select(output => InBlocksOfTiles(scaled, output, rounded));
        })];
        OperationTests.AssertSame(inBlocks, all, "E4M3");
    }

    [Fact]
    public unsafe void Pairs_of_E4M3_become_pairs_of_BF16()
    {
        Assert.SkipUnless(Vector512.IsHardwareAccelerated && Avx512BW.IsSupported, "only what comes before AMX decodes them");
        const int Columns = 46;
        RandomMatrix weights = new(new Random(12), DType.F8E4M3, PanelMatrix.PanelOutputs, Columns);
        using CpuBackend backend = new(new CpuOptions { Threads = 1 });
        PanelMatrix matrix = ((CpuMatrix)backend.LoadMatrix(MatrixUse.Linear, weights)).Parts[0];
        ushort[] found = new ushort[Columns * PanelMatrix.PanelOutputs];
        fixed (ushort* to = found)
            E4M3.ToBFloat16Pairs(matrix.Data, Columns / 2, (byte*)to);
        float[] values = new float[Columns];
        for (int output = 0; output < PanelMatrix.PanelOutputs; output++)
        {
            StoredNumbers.Decode(DType.F8E4M3, weights.Row(output, new byte[weights.RowBytes]), values);

            // The first column of a pair lies in the upper half.
            for (int c = 0; c < Columns; c++)
                Assert.Equal(StoredNumbers.ToBF16(values[c]), found[(c / 2 * 64) + (output * 2) + 1 - (c % 2)]);
        }
    }

    /// <summary>Where there is no AMX too: one row does without, but must have the bits of rows that do not.</summary>
    [Fact]
    public unsafe void A_row_of_E4M3_alone_sums_as_tiles_of_AMX_do()
    {
        Assert.SkipUnless(CpuFeatureDetection.Detect().HasFlag(CpuFeatures.Avx512BFloat16) && Avx512Vbmi.IsSupported, "this processor has no BF16 instructions");
        const int Outputs = 70;
        Random random = new(11);
        using CpuBackend backend = new(new CpuOptions { Threads = 1 });
        using Arena arena = new("rows and outputs");
        AmxE4M3Product product = new(AssembledKernels.Shared!);
        foreach ((int columns, int scaleBlock) in new[] { (32, 128), (128, 128), (736, 128), (1024, 256), (480, 0) })
        {
            RandomMatrix weights = new(random, DType.F8E4M3, Outputs, columns, scaleBlock);
            PanelMatrix matrix = ((CpuMatrix)backend.LoadMatrix(MatrixUse.Linear, weights)).Parts[0];
            Assert.True(AmxE4M3Product.Takes(matrix));
            float[] x = Rig.Normal(random, columns);
            byte* packed = arena.Allocate(columns * sizeof(ushort));
            fixed (float* from = x)
                RowRounding.PackBFloat16(from, columns, packed, RowPacking.BFloat16RecordBytes);
            int stride = matrix.Panels * PanelMatrix.PanelOutputs;
            float* y = (float*)arena.Allocate(stride * sizeof(float));
            product.Multiply(matrix, 0, matrix.Panels, new RowGroup(null, packed, columns * sizeof(ushort), 1), y, stride);
            double[] rounded = FastProductTests.Rounded(x, DType.BF16);
            float[] expected = [.. Enumerable.Range(0, Outputs).Select(output => InBlocksOfTiles(weights, output, rounded))];
            OperationTests.AssertSame(expected, new Span<float>(y, Outputs).ToArray(), $"{columns} columns");
        }
    }

    [Fact]
    public void Tiles_of_AMX_cover_a_group_and_a_cut_of_it_has_the_same()
    {
        for (int rows = 1; rows < 400; rows++)
        {
            for (int row = 0; row < rows; row++)
            {
                (int first, int height) = RowPacking.AmxTileOf(row, rows);
                Assert.InRange(row, first, first + height - 1);
                Assert.Equal(0, first % RowPacking.AmxTileRows);
                Assert.True(height == RowPacking.AmxTileRows || first + height == rows);
                int cut = first / RowPacking.StretchRows * RowPacking.StretchRows;
                Assert.Equal((first - cut, height), RowPacking.AmxTileOf(row - cut, Math.Min(RowPacking.StretchRows, rows - cut)));
            }
        }
    }

    /// <summary>
    /// A sum as <c>tdpbf16ps</c> adds it up: of each 32 columns the even ones and the odd ones for themselves, then both together, then that to the sum.
    /// </summary>
    private static float InOrderOfTiles(ReadOnlySpan<double> weights, ReadOnlySpan<double> x)
    {
        float sum = 0;
        for (int block = 0; block < x.Length; block += RowPacking.BlockColumns)
        {
            float even = 0, odd = 0;
            for (int c = block; c < Math.Min(x.Length, block + RowPacking.BlockColumns); c += 2)
            {
                even = MathF.FusedMultiplyAdd((float)x[c], (float)weights[c], even);
                if (c + 1 < x.Length)
                    odd = MathF.FusedMultiplyAdd((float)x[c + 1], (float)weights[c + 1], odd);
            }

            sum += even + odd;
        }

        return sum;
    }

    /// <summary>The same for E4M3: of each 128 columns, then multiplied with their scale and added.</summary>
    private static float InBlocksOfTiles(MatrixSource weights, int output, ReadOnlySpan<double> x)
    {
        float[] values = new float[weights.Columns];
        StoredNumbers.Decode(weights.Type, weights.Row(output, new byte[weights.RowBytes]), values);
        double[] decoded = [.. values];
        float[] scales = weights.ScaleBlock == 0 ? [1] : new float[(weights.Columns + weights.ScaleBlock - 1) / weights.ScaleBlock];
        if (weights.ScaleBlock > 0)
            weights.RowScales(output, scales);
        float sum = 0;
        for (int column = 0; column < weights.Columns; column += 128)
        {
            int count = Math.Min(128, weights.Columns - column);
            float scale = scales[weights.ScaleBlock == 0 ? 0 : column / weights.ScaleBlock];
            sum = MathF.FusedMultiplyAdd(InOrderOfTiles(decoded.AsSpan(column, count), x.Slice(column, count)), scale, sum);
        }

        return sum;
    }
}
