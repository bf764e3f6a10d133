using System.Runtime.CompilerServices;

namespace Sluice.Cpu.Simd;

/// <summary>
/// Exact widening of floats that are narrower than BF16's exponent, from the top bits of each lane: the exponent is re-based by
/// an integer addition, and the subnormal range, which that gets wrong by a constant, is put right by a subtraction. No
/// multiplication by a power of two, because processors take a detour for subnormal operands.
/// </summary>
internal static class SmallFloat
{
    private const uint Sign = 0x8000_0000;
    private const float SmallestNormalF16 = 1f / 16384;
    private const float SmallestNormalE4M3 = 1f / 64;

    /// <summary>IEEE binary16 in the upper half of each lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T FromF16<T>(T bits)
        where T : unmanaged, ISimd<T>
    {
        T value = FixSubnormal(T.ShiftRightAndAdd(T.And(bits, 0x7FFF_0000), 3, 112u << 23), SmallestNormalF16);
        T special = T.ShiftRightAndAdd(value, 0, 112u << 23);
        return T.Or(T.SelectLess(value, T.Broadcast(65536f), value, special), T.And(bits, Sign));
    }

    /// <summary>E4M3 in the top byte of each lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T FromE4M3<T>(T bits)
        where T : unmanaged, ISimd<T>
    {
        T value = FixSubnormal(T.ShiftRightAndAdd(T.And(bits, 0x7F00_0000), 4, 120u << 23), SmallestNormalE4M3);
        return T.Or(T.SelectLess(value, T.Broadcast(480f), value, T.Broadcast(float.NaN)), T.And(bits, Sign));
    }

    /// <summary>Where the exponent was 0, <c>m</c> has become <c>(1 + m) * smallest / 2</c> and must be <c>m * smallest</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T FixSubnormal<T>(T value, float smallest)
        where T : unmanaged, ISimd<T>
    {
        T limit = T.Broadcast(smallest);
        return T.SelectLess(value, limit, value + value - limit, value);
    }
}
