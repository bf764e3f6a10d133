namespace Sluice.Cpu.Assembly;

/// <summary>What a tile of BF16 weights fetches while it computes.</summary>
[Flags]
internal enum TilePrefetch
{
    /// <summary>Nothing: its weights are in a cache.</summary>
    None = 0,

    /// <summary>Its weights, some way ahead: no other tile took them before.</summary>
    Own = 1,

    /// <summary>
    /// A share of <see cref="TileArguments.Next"/>, since its weights lie in the second level, from where several tiles take them: memory is then never
    /// idle while the later ones compute. Tiles of AMX also fetch <see cref="TileArguments.NextOutputs"/>: stores would otherwise wait for each line of these,
    /// longer than the tile takes.
    /// </summary>
    Next = 2,
}
