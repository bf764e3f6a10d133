namespace Sluice.Caching.Tests.Fuzz;

/// <summary>SplitMix64: small, fast, and the same on every platform and release, so that a seed stays a test case for ever.</summary>
public sealed class Rng(ulong seed)
{
    private ulong _state = seed;

    public static ulong Mix(ulong a, ulong b)
    {
        ulong x = a ^ (b * 0x9E3779B97F4A7C15UL);
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9UL;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EBUL;
        return (x ^ (x >> 31)) + b;
    }

    public ulong Next()
    {
        _state += 0x9E3779B97F4A7C15UL;
        ulong x = _state;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9UL;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EBUL;
        return x ^ (x >> 31);
    }

    /// <summary>Uniform in [0, limit).</summary>
    public int Below(int limit) => (int)((Next() >> 32) * (ulong)limit >> 32);

    /// <summary>Uniform in [from, to].</summary>
    public int In(int from, int to) => from + Below(to - from + 1);

    public bool Chance(double p) => (Next() >> 11) * (1.0 / (1UL << 53)) < p;
}
