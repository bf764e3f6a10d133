using System.Runtime.InteropServices;
using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu.Kernels;
using Sluice.Tests.Operations;

namespace Sluice.Cpu.Tests.Weights;

/// <summary>Every stored number comes out of a panel as itself, at every width, from every place.</summary>
public sealed class FormatTests
{
    public static TheoryData<DType> Types => [DType.F32, DType.F16, DType.BF16, DType.F8E4M3];

    [Theory]
    [MemberData(nameof(Types))]
    public void Every_code_is_decoded_exactly(DType type)
    {
        // A column of all codes, alone, then after a column of zeros: the two columns of a pair are decoded in different ways.
        int codes = type == DType.F8E4M3 ? 256 : 65536;
        for (int columns = 1; columns <= 2; columns++)
        {
            byte[] stored = new byte[codes * columns * type.Size()];
            float[] expected = new float[codes];
            for (int code = 0; code < codes; code++)
            {
                Span<byte> at = stored.AsSpan(((code * columns) + columns - 1) * type.Size(), type.Size());
                if (type == DType.F32)
                    MemoryMarshal.Write(at, BitConverter.Int32BitsToSingle((code << 16) | 0x1234));
                else if (type == DType.F8E4M3)
                    at[0] = (byte)code;
                else
                    MemoryMarshal.Write(at, (ushort)code);
                StoredNumbers.Decode(type, at, expected.AsSpan(code, 1));
            }

            foreach ((KernelSet kernels, int threads) in OperationTests.Ways())
            {
                using CpuBackend backend = new(new CpuOptions { Threads = threads }, kernels);
                Matrix matrix = backend.LoadMatrix(MatrixUse.EmbeddingAndLinear, new Stored(type, codes, columns, stored));
                for (int rows = 1; rows <= 13; rows += 4)
                {
                    Activation y = Rig.Empty(backend, rows, codes);
                    Activation x = Rig.Of(backend, [.. Enumerable.Range(0, rows * columns).Select(i => (i + 1) % columns == 0 ? 1f : 0f)], rows);
                    backend.Linear(x, matrix, null, y, rows);
                    float[] found = new float[codes];
                    backend.Read(y, rows - 1, found);
                    for (int code = 0; code < codes; code++)
                        Assert.True(found[code].Equals(expected[code]), $"{type} {code:x}, {columns} columns, {rows} rows, {kernels.Name}: {found[code]:r}, expected {expected[code]:r}");
                }

                StepBatch batch = new(codes);
                batch.Add([.. Enumerable.Range(0, codes)], 0, 0, new int[codes / 16], LogitsWanted.None);
                Activation hidden = backend.Allocate(codes, columns);
                backend.Embed(batch, matrix, hidden);
                float[] row = new float[columns];
                for (int code = 0; code < codes; code++)
                {
                    backend.Read(hidden, code, row);
                    Assert.True(row[^1].Equals(expected[code]), $"{type} {code:x} looked up: {row[^1]:r}, expected {expected[code]:r}");
                }
            }
        }
    }

    [Fact]
    public void What_no_panel_can_hold_is_refused_by_name()
    {
        using CpuBackend backend = new(new CpuOptions { Threads = 1 });
        MatrixSource wide = new Stored(DType.BF16, 4, 8, new byte[64]);
        Refused("I8", new Stored(DType.I8, 4, 8, new byte[32]));
        Refused("expected 8 columns", wide, new Stored(DType.BF16, 4, 6, new byte[48]));
        Refused("even number of columns in a scale block", new Stored(DType.F8E4M3, 4, 8, new byte[32], scaleBlock: 3));
        BackendException error = Assert.Throws<BackendException>(() => backend.LoadExperts([new ExpertSource(wide, wide, wide)]));
        Assert.Contains("stored: expected [8, 4], found [4, 8]", error.Message);

        void Refused(string what, params MatrixSource[] parts)
        {
            string message = Assert.Throws<BackendException>(() => backend.LoadMatrix(MatrixUse.Linear, parts)).Message;
            Assert.Contains(what, message);
            Assert.StartsWith("stored: ", message);
        }
    }

    [Fact]
    public void A_matrix_reports_what_one_pass_reads()
    {
        using CpuBackend backend = new(new CpuOptions { Threads = 1 });
        Random random = new(1);
        Assert.Equal(64 * 38 * 2, backend.LoadMatrix(MatrixUse.Linear, new RandomMatrix(random, DType.BF16, 40, 37)).Bytes);
        Assert.Equal(40 * 37 * 2, backend.LoadMatrix(MatrixUse.Embedding, new RandomMatrix(random, DType.BF16, 40, 37)).Bytes);
        Assert.Equal((64 * 256) + (64 * 2 * 4), backend.LoadMatrix(MatrixUse.Linear, new RandomMatrix(random, DType.F8E4M3, 64, 256, 128)).Bytes);
    }

    private sealed class Stored(DType type, int rows, int columns, byte[] bytes, int scaleBlock = 0) : MatrixSource("stored", type, rows, columns)
    {
        public override int ScaleBlock => scaleBlock;

        public override ReadOnlySpan<byte> Row(int row, Span<byte> scratch) => bytes.AsSpan(row * RowBytes, RowBytes);
    }
}
