using System.Runtime.Intrinsics;
using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Kernels;
using Sluice.Cpu.Memory;
using Sluice.Cpu.Simd;
using Sluice.Tests.Operations;

namespace Sluice.Cpu.Tests;

/// <summary>
/// Products that round activations: against float64 products of the same rounded activations with weights as
/// <see cref="StoredNumbers"/> decodes them, and the same bits with assembled instructions, AVX-512, AVX2 and 128 bits, alone and in any batch. AMX sums
/// BF16 products in an order of its own: there bits are the same alone and in any batch, and those of its arithmetic.
/// </summary>
public sealed class FastProductTests
{
    private static readonly DType[] ByteTypes = [DType.Q8_0, DType.Q4_0, DType.Q4_K, DType.Q5_K, DType.Q6_K, DType.IQ4_NL, DType.Q3_K];

    public static TheoryData<DType> Types =>
        [DType.BF16, DType.F8E4M3, .. ByteTypes, DType.Q2_K, DType.IQ4_XS, DType.MXFP4];

    [Theory]
    [MemberData(nameof(Types))]
    public void Products_agree_with_float64_and_with_every_instruction_set(DType type)
    {
        Random random = new(20261126 + (int)type);
        foreach ((int outputs, int blocks) in new[] { (5, 1), (32, 2), (70, 3), (150, 9), (40, 32) })
        {
            int columns = blocks * (type.IsBlocked() ? type.Block().Elements : 38);
            MatrixSource weights = type.IsBlocked()
                ? RandomBlocks.Of(random, type, outputs, columns)
                : new RandomMatrix(random, type, outputs, columns, type == DType.F8E4M3 ? 128 : 0);
            const int Rows = 67;
            float[] x = Rig.Normal(random, Rows * columns);
            double[] expected = Expected(weights, x, Rows);
            float[]?[] firsts = new float[2][];
            foreach ((KernelSet kernels, int threads) in Ways())
            {
                using CpuBackend backend = new(new CpuOptions { Threads = threads }, kernels);
                Matrix matrix = backend.LoadMatrix(MatrixUse.Linear, weights);
                ref float[]? first = ref firsts[kernels.ProductOf(((CpuMatrix)matrix).Parts[0]).Form == RowForm.BFloat16Amx ? 1 : 0];
                string what = $"{type}, {outputs} x {columns}, {kernels.Name}";
                float[] found = Linear(backend, matrix, x, Rows);
                AssertClose(expected, found, type is DType.Q2_K or DType.IQ4_XS ? 3e-3 : 3e-6, what);
                OperationTests.AssertSame(first ??= found, found, what);
                foreach (int rows in new[] { 1, 2, 3, 4, 5, 7, 11, 12, 13, 16, 17, 25, 32, 33, 48 })
                    OperationTests.AssertSame(found[..(rows * outputs)], Linear(backend, matrix, x[..(rows * columns)], rows), $"{what}, {rows} rows");
            }
        }
    }

    /// <summary>Sums of products in 16 bits are as large as they can be.</summary>
    [Theory]
    [InlineData(DType.Q8_0, 0x80)]
    [InlineData(DType.Q8_0, 0x7F)]
    [InlineData(DType.Q4_0, 0xFF)]
    [InlineData(DType.Q4_K, 0xFF)]
    [InlineData(DType.Q5_K, 0xFF)]
    [InlineData(DType.Q6_K, 0xFF)]
    [InlineData(DType.Q6_K, 0x00)]
    public void The_largest_elements_and_rows_do_not_overflow(DType type, byte element)
    {
        const int Outputs = 40;
        const int Columns = 512;
        const int Rows = 9;
        Random random = new(20261128);
        MatrixSource weights = RandomBlocks.OfOne(random, type, Outputs, Columns, element);
        float[] x = new float[Rows * Columns];
        for (int i = 0; i < x.Length; i++)
        {
            // All 127, all -127, and signs that change every so many columns.
            (int row, int column) = Math.DivRem(i, Columns);
            x[i] = row == 0 || (column / Math.Max(1, 1 << (row - 2)) % 2 == 0 && row > 1) ? 0.75f : -0.75f;
        }

        double[] expected = Expected(weights, x, Rows);
        float[]? first = null;
        foreach ((KernelSet kernels, int threads) in Ways())
        {
            using CpuBackend backend = new(new CpuOptions { Threads = threads }, kernels);
            Matrix matrix = backend.LoadMatrix(MatrixUse.Linear, weights);
            string what = $"{type}, {element}, {kernels.Name}";
            float[] found = Linear(backend, matrix, x, Rows);
            AssertClose(expected, found, 3e-6, what);
            OperationTests.AssertSame(first ??= found, found, what);
            for (int row = 0; row < Rows; row++)
                OperationTests.AssertSame(found[(row * Outputs)..((row + 1) * Outputs)], Linear(backend, matrix, x[(row * Columns)..((row + 1) * Columns)], 1), $"{what}, row {row}");
        }
    }

    [Theory]
    [InlineData(DType.BF16)]
    [InlineData(DType.F8E4M3)]
    [InlineData(DType.F16)]
    [InlineData(DType.Q8_0)]
    [InlineData(DType.Q4_K)]
    [InlineData(DType.Q5_K)]
    [InlineData(DType.Q6_K)]
    public void Long_rows_and_many_agree_with_the_same_rows_alone(DType type)
    {
        // Columns of more than one block that stays in the second level; rows that stay there, and rows that do not; tiles and what is left of them.
        const int Outputs = 75;
        const int Columns = 19 * 256;
        const int Rows = 250;
        Random random = new(20261127 + (int)type);
        MatrixSource weights = type.IsBlocked()
            ? RandomBlocks.Of(random, type, Outputs, Columns)
            : new RandomMatrix(random, type, Outputs, Columns, type == DType.F8E4M3 ? 128 : 0);
        float[] x = Rig.Normal(random, Rows * Columns);
        double[] expected = Expected(weights, x[..(3 * Columns)], 3);
        foreach ((KernelSet kernels, int threads) in Ways())
        {
            using CpuBackend backend = new(new CpuOptions { Threads = threads }, kernels);
            Matrix matrix = backend.LoadMatrix(MatrixUse.Linear, weights);
            string what = $"{type}, {kernels.Name}";
            float[] found = Linear(backend, matrix, x, Rows);
            AssertClose(expected, found[..(3 * Outputs)], 3e-6, what);
            for (int row = 0; row < Rows; row += 17)
                OperationTests.AssertSame(found[(row * Outputs)..((row + 1) * Outputs)], Linear(backend, matrix, x[(row * Columns)..((row + 1) * Columns)], 1), $"{what}, row {row}");
            foreach (int rows in new[] { 14, 40, 96, 99, 110 })
                OperationTests.AssertSame(found[..(rows * Outputs)], Linear(backend, matrix, x[..(rows * Columns)], rows), $"{what}, {rows} rows");
        }
    }

    [Fact]
    public void Rows_of_uneven_blocks_agree_with_every_instruction_set()
    {
        // Blocks from as large as the row's largest down to nothing: every power of two, and sums that are rounded.
        const int Rows = 14;
        const int Columns = 32 * 64;
        Random random = new(7);
        float[] x = Rig.Normal(random, Rows * Columns);
        for (int i = 0; i < x.Length; i++)
            x[i] *= i / 32 % 27 == 26 ? 0 : MathF.ScaleB(1, -(i / 32 % 27));
        foreach (DType type in ByteTypes)
        {
            RandomBlocks weights = RandomBlocks.Of(random, type, 40, Columns);
            double[] expected = Expected(weights, x, Rows);
            float[]? first = null;
            foreach ((KernelSet kernels, int threads) in Ways())
            {
                using CpuBackend backend = new(new CpuOptions { Threads = threads }, kernels);
                Matrix matrix = backend.LoadMatrix(MatrixUse.Linear, weights);
                float[] found = Linear(backend, matrix, x, Rows);
                AssertClose(expected, found, type is DType.Q4_K or DType.Q5_K ? 1e-3 : 3e-6, $"{type}, {kernels.Name}");
                OperationTests.AssertSame(first ??= found, found, $"{type}, {kernels.Name}");
                for (int row = 0; row < Rows; row++)
                    OperationTests.AssertSame(found[(row * 40)..((row + 1) * 40)], Linear(backend, matrix, x[(row * Columns)..((row + 1) * Columns)], 1), $"{type}, row {row}");
            }
        }
    }

    [Fact]
    public void Rows_of_nothing_become_nothing_and_huge_numbers_stay_numbers()
    {
        Random random = new(8);
        foreach ((KernelSet kernels, int threads) in Ways())
        {
            using CpuBackend backend = new(new CpuOptions { Threads = threads }, kernels);
            foreach (DType type in ByteTypes)
            {
                Matrix matrix = backend.LoadMatrix(MatrixUse.Linear, RandomBlocks.Of(random, type, 40, 256));
                float[] x = new float[3 * 256];
                x.AsSpan(256, 256).Fill(1e-38f);
                x[^1] = 1e35f;
                float[] found = Linear(backend, matrix, x, 3);
                Assert.All(found[..80], number => Assert.Equal(0, number));
                Assert.All(found[80..], number => Assert.True(float.IsFinite(number)));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Tied_embeddings_are_looked_up_as_they_are_stored(DType type)
    {
        Random random = new(3);
        int columns = type.IsBlocked() ? 3 * type.Block().Elements : 38;
        MatrixSource weights = type.IsBlocked() ? RandomBlocks.Of(random, type, 45, columns) : new RandomMatrix(random, type, 45, columns, type == DType.F8E4M3 ? 128 : 0);
        using CpuBackend backend = new(new CpuOptions { Threads = 1 });
        Matrix matrix = backend.LoadMatrix(MatrixUse.EmbeddingAndLinear, weights);
        StepBatch batch = new(45);
        batch.Add([.. Enumerable.Range(0, 45)], 0, 0, new int[3], LogitsWanted.None);
        Activation hidden = backend.Allocate(45, columns);
        backend.Embed(batch, matrix, hidden);
        float[] row = new float[columns];
        for (int i = 0; i < 45; i++)
        {
            backend.Read(hidden, i, row);
            double[] expected = Decode(weights, i);
            AssertClose(expected, row, type is DType.Q2_K or DType.IQ4_XS ? 4e-3 : 0, $"{type}, row {i}");
        }
    }

    [Fact]
    public void Experts_in_blocks_agree_with_every_instruction_set_and_in_any_batch()
    {
        const int Rows = 130;
        const int Hidden = 256;
        Random random = new(5);
        ExpertSource[] sources = [.. Enumerable.Range(0, 6).Select(_ => new ExpertSource(
            RandomBlocks.Of(random, DType.Q4_K, 256, Hidden), RandomBlocks.Of(random, DType.Q4_K, 256, Hidden), RandomBlocks.Of(random, DType.Q6_K, Hidden, 256)))];
        float[] values = Rig.Normal(random, Rows * Hidden);
        float[] logits = Rig.Normal(random, Rows * 6);
        float[]? first = null;
        foreach ((KernelSet kernels, int threads) in Ways())
        {
            using CpuBackend backend = new(new CpuOptions { Threads = threads }, kernels);
            ExpertWeights experts = backend.LoadExperts(sources);
            float[] all = Run(0, Rows);
            OperationTests.AssertSame(first ??= all, all, kernels.Name);
            foreach (int row in new[] { 0, 1, 57, Rows - 1 })
                OperationTests.AssertSame(all[(row * Hidden)..((row + 1) * Hidden)], Run(row, 1), $"{kernels.Name}, row {row} alone");

            float[] Run(int from, int rows)
            {
                Routing routing = backend.AllocateRouting(rows, 3);
                backend.Route(Rig.Of(backend, logits[(from * 6)..((from + rows) * 6)], rows), true, routing, rows);
                Activation y = Rig.Empty(backend, rows, Hidden);
                backend.Experts(Rig.Of(backend, values[(from * Hidden)..((from + rows) * Hidden)], rows), routing, experts, y, rows);
                return Rig.Read(backend, y, rows);
            }
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void What_is_no_number_stays_none(float value)
    {
        Random random = new(6);
        foreach ((KernelSet kernels, int threads) in Ways())
        {
            using CpuBackend backend = new(new CpuOptions { Threads = threads }, kernels);
            foreach (DType type in (DType[])[DType.BF16, DType.Q8_0, DType.Q4_K, DType.Q6_K])
            {
                Matrix matrix = backend.LoadMatrix(
                    MatrixUse.Linear, type.IsBlocked() ? RandomBlocks.Of(random, type, 40, 256) : new RandomMatrix(random, type, 40, 256));
                float[] x = Rig.Normal(random, 2 * 256);
                x[100] = value;
                Activation y = backend.Allocate(2, 40);
                backend.Linear(Rig.Of(backend, x, 2), matrix, null, y, 2);
                float[] row = new float[40];
                backend.Read(y, 0, row);
                Assert.All(row, number => Assert.False(float.IsFinite(number)));
                backend.Read(y, 1, row);
                Assert.All(row, number => Assert.True(float.IsFinite(number)));
            }
        }
    }

    [Fact]
    public void Disabled_instructions_are_not_used()
    {
        Assert.Equal(CpuFeatures.Avx512BFloat16, CpuFeatureDetection.Disabled("avx512bf16,sse9"));
        Assert.Equal(CpuFeatures.Avx512Vnni, CpuFeatureDetection.Disabled(" AVX512VNNI "));
        Assert.Equal(CpuFeatures.AmxBFloat16 | CpuFeatures.AmxInt8, CpuFeatureDetection.Disabled("amx"));
        Assert.Equal(CpuFeatures.All, CpuFeatureDetection.Disabled("assembly"));
        Assert.Equal(CpuFeatures.None, CpuFeatureDetection.Disabled(null));
    }

    [Fact]
    public void Tiles_cover_a_group_and_a_cut_of_it_has_the_same()
    {
        for (int rows = 1; rows < 400; rows++)
        {
            int covered = 0;
            while (covered < rows)
            {
                (int first, int height) = RowPacking.TileOf(covered, rows);
                Assert.Equal(covered, first);
                Assert.InRange(height, 1, RowPacking.TileRows);
                for (int row = first; row < first + height; row++)
                    Assert.Equal((first, height), RowPacking.TileOf(row, rows));
                int cut = first / RowPacking.StretchRows * RowPacking.StretchRows;
                Assert.Equal((first - cut, height), RowPacking.TileOf(first - cut, Math.Min(RowPacking.StretchRows, rows - cut)));
                covered += height;
            }

            Assert.Equal(rows, covered);
        }
    }

    [Fact]
    public void Tiles_in_int8_are_stretches_and_what_is_left()
    {
        for (int row = 0; row < 250; row++)
        {
            int first = row / RowPacking.StretchRows * RowPacking.StretchRows;
            Assert.Equal((first, first == 0 || first == RowPacking.StretchRows ? RowPacking.StretchRows : 250 - first), RowPacking.Int8TileOf(row, 250));
        }
    }

    /// <summary>One product with each type, for comparison between processes.</summary>
    internal static float[] OfAllTypes(CpuBackend backend)
    {
        using (backend)
        {
            Random random = new(9);
            List<float> all = [];
            foreach (DType type in ByteTypes)
            {
                Matrix matrix = backend.LoadMatrix(MatrixUse.Linear, RandomBlocks.Of(random, type, 70, 768));
                foreach (int rows in new[] { 23, 1 })
                    all.AddRange(Linear(backend, matrix, Rig.Normal(random, rows * 768), rows));
            }

            return [.. all];
        }
    }

    /// <summary>Every way this process has: assembled, with and without AMX, and registers of every width.</summary>
    internal static IEnumerable<(KernelSet Kernels, int Threads)> Ways()
    {
        const ActivationPrecision Fast = ActivationPrecision.Fast;
        yield return (KernelSet.Best(Fast)!, 1);
        yield return (KernelSet.Best(Fast)!, 3);
        if ((CpuFeatureDetection.Detect() & CpuFeatures.Amx) != CpuFeatures.None)
            yield return (KernelSet.Best(Fast, CpuFeatures.All & ~CpuFeatures.Amx)!, 2);
        if (Vector512.IsHardwareAccelerated)
            yield return (new KernelSet<V512, V512>("512 bits", Fast), 2);
        if (Vector256.IsHardwareAccelerated)
            yield return (new KernelSet<V256, Twice<V256>>("256 bits", Fast), 2);
        yield return (new KernelSet<V128, Twice<Twice<V128>>>("128 bits", Fast), 2);
    }

    internal static float[] Linear(CpuBackend backend, Matrix matrix, float[] x, int rows)
    {
        Activation y = Rig.Empty(backend, rows, matrix.Rows);
        backend.Linear(Rig.Of(backend, x, rows), matrix, null, y, rows);
        return Rig.Read(backend, y, rows);
    }

    private static double[] Expected(MatrixSource weights, float[] x, int rows)
    {
        double[][] decoded = [.. Enumerable.Range(0, weights.Rows).Select(row => Decode(weights, row))];
        double[] expected = new double[rows * weights.Rows];
        for (int row = 0; row < rows; row++)
        {
            double[] rounded = Rounded(x.AsSpan(row * weights.Columns, weights.Columns), weights.Type);
            for (int output = 0; output < weights.Rows; output++)
                expected[(row * weights.Rows) + output] = decoded[output].Zip(rounded, (w, value) => w * value).Sum();
        }

        return expected;
    }

    internal static double[] Rounded(ReadOnlySpan<float> x, DType type)
    {
        double[] rounded = new double[x.Length];
        if (!ByteTypes.Contains(type))
        {
            for (int c = 0; c < x.Length; c++)
                rounded[c] = type is DType.F16 or DType.F32 ? x[c] : StoredNumbers.FromBF16(StoredNumbers.ToBF16(x[c]));
            return rounded;
        }

        float most = Largest(x);
        for (int block = 0; block < x.Length; block += 32)
        {
            // The row's factor times the least power of two that leaves eight bits of the block.
            ReadOnlySpan<float> of = x.Slice(block, 32);
            int exponent = 0;
            while (exponent > -20 && Largest(of) * (127 / most) <= 127 * Math.ScaleB(1 + 1e-6, exponent - 1))
                exponent--;
            float scale = 127 / most * MathF.ScaleB(1, -exponent);
            for (int c = 0; c < 32; c++)
                rounded[block + c] = Math.Round((double)(of[c] * scale), MidpointRounding.ToEven) * Math.ScaleB(most / 127, exponent);
        }

        return rounded;
    }

    private static float Largest(ReadOnlySpan<float> x)
    {
        float largest = 0;
        foreach (float value in x)
            largest = Math.Max(largest, Math.Abs(value));
        return largest;
    }

    internal static double[] Decode(MatrixSource weights, int row)
    {
        float[] values = new float[weights.Columns];
        StoredNumbers.Decode(weights.Type, weights.Row(row, new byte[weights.RowBytes]), values);
        float[] scales = new float[weights.ScaleBlock == 0 ? 0 : (weights.Columns + weights.ScaleBlock - 1) / weights.ScaleBlock];
        if (scales.Length > 0)
            weights.RowScales(row, scales);
        return [.. values.Select((value, c) => (double)(scales.Length > 0 ? value * scales[c / weights.ScaleBlock] : value))];
    }

    private static void AssertClose(double[] expected, float[] found, double tolerance, string what)
    {
        Assert.Equal(expected.Length, found.Length);
        double scale = expected.Max(Math.Abs);
        for (int i = 0; i < expected.Length; i++)
        {
            if (!(Math.Abs(expected[i] - found[i]) <= tolerance * scale))
                Assert.Fail($"{what}: number {i} is {found[i]:r}, expected {expected[i]:r}, {Math.Abs(expected[i] - found[i]) / scale:e1} of the largest apart");
        }
    }
}
