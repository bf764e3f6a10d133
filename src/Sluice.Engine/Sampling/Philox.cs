namespace Sluice.Engine.Sampling;

/// <summary>
/// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3"
/// (SC11), which CUDA's and NumPy's libraries share. A random number is a pure function of a key and a counter: a sequence that is
/// preempted, recomputed or sampled on another device draws the same numbers, and there is no state to save.
/// </summary>
internal static class Philox
{
    private const uint Multiplier0 = 0xD2511F53;
    private const uint Multiplier1 = 0xCD9E8D57;
    private const uint Weyl0 = 0x9E3779B9;
    private const uint Weyl1 = 0xBB67AE85;

    /// <summary>Four random words for a key and a counter.</summary>
    public static (uint W0, uint W1, uint W2, uint W3) Block(ulong key, ulong counterLow, ulong counterHigh)
    {
        uint k0 = (uint)key, k1 = (uint)(key >> 32);
        uint c0 = (uint)counterLow, c1 = (uint)(counterLow >> 32), c2 = (uint)counterHigh, c3 = (uint)(counterHigh >> 32);
        for (int round = 0; round < 10; round++)
        {
            ulong product0 = (ulong)Multiplier0 * c0;
            ulong product1 = (ulong)Multiplier1 * c2;
            (c0, c1, c2, c3) = ((uint)(product1 >> 32) ^ c1 ^ k0, (uint)product1, (uint)(product0 >> 32) ^ c3 ^ k1, (uint)product0);
            k0 = unchecked(k0 + Weyl0);
            k1 = unchecked(k1 + Weyl1);
        }

        return (c0, c1, c2, c3);
    }

    /// <summary>A number in [0, 1) with 53 random bits.</summary>
    public static double Uniform(ulong key, ulong counter)
    {
        var (w0, w1, _, _) = Block(key, counter, 0);
        return ((((ulong)w1 << 32) | w0) >> 11) * (1.0 / (1UL << 53));
    }

    /// <summary>The key of one of several sequences with the same seed: the seed itself for the first.</summary>
    public static ulong Derive(ulong seed, int index)
    {
        if (index == 0)
            return seed;
        var (w0, w1, _, _) = Block(seed, (ulong)index, 1);
        return ((ulong)w1 << 32) | w0;
    }
}
