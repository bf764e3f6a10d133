namespace Sluice.Constraints.Vocabularies;

/// <summary>A set of tokens: a list of ids where they are few, a bit for each id where they are many.</summary>
internal sealed class TokenSet
{
    private TokenSet(int[]? ids, ulong[]? bits)
    {
        Ids = ids;
        Bits = bits;
    }

    public static TokenSet Empty { get; } = new([], null);

    /// <summary>The ids, unless <see cref="Bits"/> has them.</summary>
    public int[]? Ids { get; }

    public ulong[]? Bits { get; }

    public long Bytes => 64 + (Ids is null ? 8L * Bits!.Length : 4L * Ids.Length);

    /// <summary>Makes the set in whichever form is smaller.</summary>
    public static TokenSet Of(ReadOnlySpan<int> ids, int words)
    {
        if (ids.Length <= 2 * words)
            return ids.IsEmpty ? Empty : new TokenSet(ids.ToArray(), null);
        var bits = new ulong[words];
        foreach (int id in ids)
            bits[id >> 6] |= 1UL << (id & 63);
        return new TokenSet(null, bits);
    }

    /// <summary>Adds the set to a mask.</summary>
    public void AddTo(Span<ulong> mask)
    {
        if (Ids is { } ids)
        {
            foreach (int id in ids)
                mask[id >> 6] |= 1UL << (id & 63);
            return;
        }

        System.Numerics.Tensors.TensorPrimitives.BitwiseOr(mask[..Bits!.Length], Bits, mask);
    }
}
