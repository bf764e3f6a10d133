using System.Runtime.CompilerServices;

namespace Sluice.Cpu.Simd;

/// <summary>
/// Exact widening of IEEE binary16 from the upper half of each lane, for which .NET has no instruction: the exponent is re-based by an
/// integer addition, and the subnormal range, which that gets wrong by a constant, is put right by a subtraction. No multiplication by a
/// power of two, because processors take a detour for subnormal operands.
/// </summary>
internal static class F16
{
    private const uint Sign = 0x8000_0000;
    private const float SmallestNormal = 1f / 16384;

    /// <summary>The values of the numbers in the upper halves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Widen<T>(T bits)
        where T : unmanaged, ISimd<T>
    {
        T value = T.ShiftRightAndAdd(T.And(bits, 0x7FFF_0000), 3, 112u << 23);

        // Where the exponent was 0, m has become (1 + m) * smallest / 2 and must be m * smallest.
        T smallest = T.Broadcast(SmallestNormal);
        value = T.SelectLess(value, smallest, value + value - smallest, value);

        // Infinities and NaN: the largest exponent stays the largest.
        value = T.SelectLess(value, T.Broadcast(65536f), value, T.ShiftRightAndAdd(value, 0, 112u << 23));
        return T.Or(value, T.And(bits, Sign));
    }
}
