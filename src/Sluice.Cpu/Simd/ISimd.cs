namespace Sluice.Cpu.Simd;

/// <summary>
/// A register of float32 lanes. Kernels are written once over it and instantiated for every width the processor may have;
/// each lane's arithmetic, and the order in which lanes are summed, is the same for all of them, so that results are too.
/// </summary>
internal unsafe interface ISimd<TSelf>
    where TSelf : unmanaged, ISimd<TSelf>
{
    /// <summary>Lanes of the register.</summary>
    static abstract int Lanes { get; }

    /// <summary>Whether there are 32 registers, not 16.</summary>
    static abstract bool ManyRegisters { get; }

    static abstract TSelf Zero { get; }

    static abstract TSelf Broadcast(float value);

    /// <summary>Broadcasts from memory, which processors do in the load; a loaded value would take a shuffle.</summary>
    static abstract TSelf BroadcastAt(float* source);

    static abstract TSelf Load(float* source);

    static abstract void Store(TSelf value, float* destination);

    /// <summary>Loads as many signed bytes as there are lanes and converts them, exactly.</summary>
    static abstract TSelf LoadSignedBytes(sbyte* source);

    static abstract TSelf operator +(TSelf a, TSelf b);

    static abstract TSelf operator -(TSelf a, TSelf b);

    static abstract TSelf operator *(TSelf a, TSelf b);

    static abstract TSelf operator /(TSelf a, TSelf b);

    /// <summary><c>a * b + c</c>, rounded once where the processor can (everywhere but on x64 before Haswell).</summary>
    static abstract TSelf MultiplyAdd(TSelf a, TSelf b, TSelf c);

    /// <summary>The larger of each pair; unspecified where one is NaN.</summary>
    static abstract TSelf Max(TSelf a, TSelf b);

    /// <summary><c>a &lt; b ? yes : no</c> by lane; <paramref name="no"/> where one is NaN.</summary>
    static abstract TSelf SelectLess(TSelf a, TSelf b, TSelf yes, TSelf no);

    /// <summary>The lane numbers, 0, 1, 2...</summary>
    static abstract TSelf LaneNumbers { get; }

    /// <summary>
    /// All lanes: the upper half is added to the lower until one is left, so that the sum of a register equals the sum of two
    /// registers of half its width.
    /// </summary>
    static abstract float Sum(TSelf value);

    /// <summary>The largest lane.</summary>
    static abstract float Largest(TSelf value);

    /// <summary><c>2^n</c> from the bits of <c>n + 1.5 * 2^23</c>, where n is an integer from -126 to 127.</summary>
    static abstract TSelf PowerOfTwo(TSelf shifted);

    /// <summary>Bits of each lane that are also in <paramref name="mask"/>.</summary>
    static abstract TSelf And(TSelf value, uint mask);

    /// <summary>Bits in either.</summary>
    static abstract TSelf Or(TSelf a, TSelf b);

    /// <summary><c>(bits >> count) + addend</c>, on the bits of each lane as an unsigned integer.</summary>
    static abstract TSelf ShiftRightAndAdd(TSelf value, int count, uint addend);

    /// <summary>
    /// Widens the two 16-bit words of each lane: the lower ones become the upper halves of <paramref name="low"/>, the upper ones stay
    /// where they are in <paramref name="high"/>. On BF16 that is the conversion to float32.
    /// </summary>
    static abstract void SplitWords(TSelf words, out TSelf low, out TSelf high);

    /// <summary>
    /// Converts 4 * Lanes E4M3 bytes to words of BF16, exactly. Of every 16 bytes, the first 8 become the words of
    /// <paramref name="first"/>, the other 8 those of <paramref name="second"/>.
    /// </summary>
    static abstract void LoadE4M3(byte* source, in E4M3Tables tables, out TSelf first, out TSelf second);
}
