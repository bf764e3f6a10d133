using Sluice.Core;

namespace Sluice.Checkpoints.Loading;

/// <summary>Stands for a tensor at fault until <see cref="WeightPlan.Validate"/> reports it, so that planning can go on.</summary>
internal sealed class MissingMatrix(string name, int rows, int columns) : MatrixSource(name, DType.F32, rows, columns)
{
    public override ReadOnlySpan<byte> Row(int row, Span<byte> scratch) =>
        throw new InvalidOperationException($"{Name} is missing or wrong, and is read all the same: Validate must come before Load");
}
