namespace Sluice.Cpu.Weights;

/// <summary>The layout that <see cref="PanelMatrix"/>, <see cref="QuantisedFormat"/>, <see cref="IWeightFormat"/> and <see cref="StoredRows"/> describe.</summary>
internal static class PackedLayout
{
    /// <summary>
    /// Its number. To be raised whenever the packed bytes of any weights change, be it how numbers lie or which type holds them: files of packed weights
    /// (<see cref="PackedFile"/>) from before are then refused.
    /// </summary>
    public const int Version = 1;
}
