using Sluice.Backends;
using Sluice.Core;

namespace Sluice.Cpu.Tests.Weights;

/// <summary>What a matrix is said to take before it is loaded is what it takes, padding and factors included.</summary>
public sealed class PackedSizeTests
{
    [Theory]
    [InlineData(ActivationPrecision.Fast)]
    [InlineData(ActivationPrecision.Float32)]
    public void Predicted_bytes_are_those_packed(ActivationPrecision precision)
    {
        using CpuBackend backend = new(new CpuOptions { Threads = 1, Activations = precision });
        foreach (DType type in Enum.GetValues<DType>().Where(type => type.IsWeightType()))
        {
            foreach ((int rows, int columns) in ((int, int)[])[(1, 256), (32, 512), (33, 768), (100, 1024)])
            {
                foreach (int block in type == DType.F8E4M3 ? (int[])[0, 128] : [0])
                {
                    Matrix matrix = backend.LoadMatrix(MatrixUse.Linear, new Zeros(type, rows, columns, block));
                    Assert.Equal((type, rows, columns, matrix.Bytes), (type, rows, columns, ((IBackend)backend).BytesOfMatrix(type, rows, columns, block)));
                }
            }
        }
    }

    private sealed class Zeros(DType type, int rows, int columns, int scaleBlock) : MatrixSource("zeros", type, rows, columns)
    {
        public override int ScaleBlock => scaleBlock;

        public override ReadOnlySpan<byte> Row(int row, Span<byte> scratch)
        {
            scratch[..RowBytes].Clear();
            return scratch[..RowBytes];
        }

        public override void RowScales(int row, Span<float> scales) => scales.Fill(1);
    }
}
