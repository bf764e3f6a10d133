using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Sluice.Cpu.Kernels;

/// <summary>As <see cref="Limits{T}"/>, for eight-bit products with sums in int32, in what .NET exposes.</summary>
internal static class Int8Limits
{
    /// <summary>Chains of multiply-adds in registers; returns how many multiply-adds that was, 0 where there are no instructions for them.</summary>
    public static double MultiplyAdds(int rounds, out int result)
    {
        result = 0;
        if (AvxVnni.IsSupported)
            return Vnni(rounds, out result);
        if (Avx2.IsSupported)
            return Words(rounds, out result);
        return Dp.IsSupported ? Arm(rounds, out result) : 0;
    }

    [MethodImpl(Jit.Kernel)]
    private static double Vnni(int rounds, out int result)
    {
        Vector256<byte> x = Vector256<byte>.One;
        Vector256<sbyte> y = Vector256<sbyte>.One;
        Vector256<int> a = default, b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a;
        for (int round = 0; round < rounds; round++)
        {
            a = AvxVnni.MultiplyWideningAndAdd(a, x, y);
            b = AvxVnni.MultiplyWideningAndAdd(b, x, y);
            c = AvxVnni.MultiplyWideningAndAdd(c, x, y);
            d = AvxVnni.MultiplyWideningAndAdd(d, x, y);
            e = AvxVnni.MultiplyWideningAndAdd(e, x, y);
            f = AvxVnni.MultiplyWideningAndAdd(f, x, y);
            g = AvxVnni.MultiplyWideningAndAdd(g, x, y);
            h = AvxVnni.MultiplyWideningAndAdd(h, x, y);
            i = AvxVnni.MultiplyWideningAndAdd(i, x, y);
            j = AvxVnni.MultiplyWideningAndAdd(j, x, y);
        }

        result = Vector256.Sum(a + b + c + d + e + f + g + h + i + j);
        return 10.0 * 32 * rounds;
    }

    /// <summary>Products in words, sums of those of neighbours, sums in int32: what stands in for the instruction that does all of it.</summary>
    [MethodImpl(Jit.Kernel)]
    private static double Words(int rounds, out int result)
    {
        // Different in each chain and each round, or the compiler would compute products once.
        var u = Vector256.Create((byte)rounds);
        Vector256<byte> v = u ^ Vector256<byte>.One, w = v + v, x = u + v, y = u + w, z = v + w;
        Vector256<sbyte> row = Vector256<sbyte>.Zero;
        Vector256<short> one = Vector256<short>.One;
        Vector256<int> a = default, b = a, c = a, d = a, e = a, f = a;
        for (int round = 0; round < rounds; round++)
        {
            row ^= u.AsSByte();
            a += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(u, row), one);
            b += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(v, row), one);
            c += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(w, row), one);
            d += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(x, row), one);
            e += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(y, row), one);
            f += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(z, row), one);
        }

        result = Vector256.Sum(a + b + c + d + e + f);
        return 6.0 * 32 * rounds;
    }

    [MethodImpl(Jit.Kernel)]
    private static double Arm(int rounds, out int result)
    {
        Vector128<sbyte> x = Vector128<sbyte>.One;
        Vector128<int> a = default, b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, k = a, l = a;
        for (int round = 0; round < rounds; round++)
        {
            a = Dp.DotProduct(a, x, x);
            b = Dp.DotProduct(b, x, x);
            c = Dp.DotProduct(c, x, x);
            d = Dp.DotProduct(d, x, x);
            e = Dp.DotProduct(e, x, x);
            f = Dp.DotProduct(f, x, x);
            g = Dp.DotProduct(g, x, x);
            h = Dp.DotProduct(h, x, x);
            i = Dp.DotProduct(i, x, x);
            j = Dp.DotProduct(j, x, x);
            k = Dp.DotProduct(k, x, x);
            l = Dp.DotProduct(l, x, x);
        }

        result = Vector128.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
        return 12.0 * 16 * rounds;
    }
}
