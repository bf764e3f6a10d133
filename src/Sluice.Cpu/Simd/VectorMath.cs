using System.Runtime.CompilerServices;

namespace Sluice.Cpu.Simd;

/// <summary>Transcendental functions by lane: the same polynomial at every width, so that a value does not depend on its place.</summary>
internal static class VectorMath
{
    /// <summary>Beyond it, <see cref="Exp"/> is infinite.</summary>
    private const float Overflow = 88.37626f;

    /// <summary>Below it, <see cref="Exp"/> is zero.</summary>
    private const float Underflow = -87.33654f;

    /// <summary>1.5 * 2^23: added to a small number, it leaves its nearest integer in the lowest bits.</summary>
    private const float Magic = 12582912f;

    /// <summary>
    /// <c>e^x</c>, within 2 units in the last place from -87.3 to 88.3, zero below and infinite above; exactly 1 at 0.
    /// <c>e^x = 2^n e^r</c> with <c>n = round(x / ln 2)</c>; <c>e^r</c> is a polynomial of degree 6 for |r| up to ln 2 / 2.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Exp<T>(T x)
        where T : unmanaged, ISimd<T>
    {
        T shifted = T.MultiplyAdd(x, T.Broadcast(1.44269504f), T.Broadcast(Magic));
        T n = shifted - T.Broadcast(Magic);

        // ln 2 in two parts; the first has so few bits that n times it is exact.
        T r = T.MultiplyAdd(n, T.Broadcast(-0.693359375f), x);
        r = T.MultiplyAdd(n, T.Broadcast(2.12194440e-4f), r);

        T p = T.Broadcast(0.0013926213f);
        p = T.MultiplyAdd(p, r, T.Broadcast(0.008363203f));
        p = T.MultiplyAdd(p, r, T.Broadcast(0.041666556f));
        p = T.MultiplyAdd(p, r, T.Broadcast(0.16666577f));
        p = T.MultiplyAdd(p, r, T.Broadcast(0.5f));
        p = T.MultiplyAdd(p, r, T.Broadcast(1f));
        p = T.MultiplyAdd(p, r, T.Broadcast(1f));

        // The product, not an addition to p's exponent, so that NaN stays NaN.
        T result = p * T.PowerOfTwo(shifted);
        result = T.SelectLess(x, T.Broadcast(Underflow), T.Zero, result);
        return T.SelectLess(T.Broadcast(Overflow), x, T.Broadcast(float.PositiveInfinity), result);
    }

    /// <summary><c>1 / (1 + e^-x)</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sigmoid<T>(T x)
        where T : unmanaged, ISimd<T> =>
        T.Broadcast(1f) / (T.Broadcast(1f) + Exp(T.Zero - x));

    /// <summary><c>x / (1 + e^-x)</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Silu<T>(T x)
        where T : unmanaged, ISimd<T> =>
        x / (T.Broadcast(1f) + Exp(T.Zero - x));
}
