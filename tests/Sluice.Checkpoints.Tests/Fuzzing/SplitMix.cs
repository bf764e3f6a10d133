namespace Sluice.Checkpoints.Tests.Fuzzing;

/// <summary>Steele, Lea and Flood's generator: one 64-bit number is its whole state.</summary>
internal struct SplitMix(ulong state)
{
    private ulong _state = state;

    internal uint Below(uint limit) => (uint)(((Next() >> 32) * limit) >> 32);

    private ulong Next()
    {
        unchecked
        {
            ulong z = _state += 0x9E3779B97F4A7C15;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            return z ^ (z >> 31);
        }
    }
}
