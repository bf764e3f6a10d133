namespace Sluice.Tests.Operations;

/// <summary>What the operations under test can take: on the CPU, anything.</summary>
internal static class Granularity
{
    /// <summary>Widths are multiples of it.</summary>
    public const int Width = 1;

    /// <summary>Columns around a view that must stay as they are; odd, so that views are not aligned.</summary>
    public const int Guard = 5;

    /// <summary>Fewest experts.</summary>
    public const int LeastExperts = 1;

    /// <summary>A number as activations hold it.</summary>
    public static float Round(float value) => value;
}
