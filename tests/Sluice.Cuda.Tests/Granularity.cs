namespace Sluice.Tests.Operations;

/// <summary>What the operations under test can take: rows of whole sixteen-byte groups, in bfloat16.</summary>
internal static class Granularity
{
    /// <summary>Widths are multiples of it.</summary>
    public const int Width = 8;

    /// <summary>Columns around a view that must stay as they are.</summary>
    public const int Guard = 8;

    /// <summary>Fewest experts.</summary>
    public const int LeastExperts = 2;

    /// <summary>A number as activations hold it, so that the reference is given what the card is.</summary>
    public static float Round(float value) => Sluice.Core.StoredNumbers.FromBF16(Sluice.Core.StoredNumbers.ToBF16(value));
}
