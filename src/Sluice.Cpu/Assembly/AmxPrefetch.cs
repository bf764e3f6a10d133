namespace Sluice.Cpu.Assembly;

/// <summary>What a tile of AMX fetches while it computes.</summary>
internal enum AmxPrefetch
{
    /// <summary>Nothing: its weights are in a cache.</summary>
    None,

    /// <summary>Its weights, some way ahead: no other tile takes them.</summary>
    Own,

    /// <summary>
    /// A share of <see cref="TileArguments.Next"/>, since its weights lie in the second level already, from where several tiles take them; and
    /// <see cref="TileArguments.NextOutputs"/>: stores would otherwise wait for each line of these, longer than the tile takes.
    /// </summary>
    Next,
}
