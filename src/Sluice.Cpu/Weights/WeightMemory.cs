using Sluice.Core;
using Sluice.Memory;

namespace Sluice.Cpu.Weights;

/// <summary>Where packed weights lie: in an arena, to be packed now, or in a file of them, where they are ready. For any number of threads.</summary>
internal sealed unsafe class WeightMemory(Arena arena, PackedWeights? packed)
{
    /// <summary>Memory for a piece, zeroed, or with its contents.</summary>
    /// <param name="kind">How it is made of its sources.</param>
    /// <param name="packedType">The type in which it holds them.</param>
    /// <param name="sources">What it is made of.</param>
    /// <param name="bytes">Bytes.</param>
    /// <param name="isPacked">Whether the contents are there.</param>
    public byte* Take(PieceKind kind, DType packedType, IReadOnlyList<MatrixSource> sources, long bytes, out bool isPacked)
    {
        if (packed is null)
        {
            isPacked = false;
            return arena.Allocate(bytes);
        }

        long size = Arena.Align(bytes);
        var key = WeightKey.Of(kind, packedType, sources);
        byte* ready = packed.Find(key, size);
        isPacked = ready is not null;
        byte* data = isPacked ? ready : arena.Allocate(size);
        packed.Add(new WeightPiece(sources[0].Name, key, (nint)data, size), isPacked);
        return data;
    }
}
