using System.Runtime.Intrinsics;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Tests.Simd;

/// <summary>The exponential and what is made of it, at every width.</summary>
public sealed unsafe class VectorMathTests
{
    [Fact]
    public void Exp_is_within_two_units_in_the_last_place()
    {
        double worst = 0;
        foreach (float x in Arguments())
        {
            double exact = Math.Exp(x);
            float found = Exp<V128>(x);
            double unit = BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits((float)exact) + 1) - (double)(float)exact;
            worst = Math.Max(worst, Math.Abs(found - exact) / unit);
        }

        Assert.InRange(worst, 0, V128.FusesMultiplyAdd ? 1.5 : 2);
    }

    [Fact]
    public void Exp_has_the_same_bits_at_every_width()
    {
        Assert.SkipUnless(V128.FusesMultiplyAdd, "without FMA there is one width only");
        foreach (float x in Arguments())
        {
            float narrow = Exp<V128>(x);
            if (Vector256.IsHardwareAccelerated)
                Assert.Equal(narrow, Exp<V256>(x));
            if (Vector512.IsHardwareAccelerated)
                Assert.Equal(narrow, Exp<V512>(x));
        }
    }

    [Fact]
    public void Exp_knows_its_limits()
    {
        Assert.Equal(1, Exp<V128>(0));
        Assert.Equal(1, Exp<V128>(-0f));
        Assert.Equal(0, Exp<V128>(float.NegativeInfinity));
        Assert.Equal(0, Exp<V128>(-1e30f));
        Assert.Equal(float.PositiveInfinity, Exp<V128>(float.PositiveInfinity));
        Assert.Equal(float.PositiveInfinity, Exp<V128>(100));
        Assert.True(float.IsNaN(Exp<V128>(float.NaN)));
    }

    [Fact]
    public void Sigmoid_and_silu_hold_at_both_ends()
    {
        for (float x = -120; x <= 120; x += 0.173f)
        {
            double sigmoid = 1 / (1 + Math.Exp(-(double)x));
            float found = Map<V128>(x, &VectorMath.Sigmoid);
            Assert.InRange(found, (sigmoid * (1 - 1e-6)) - 1e-38, (sigmoid * (1 + 1e-6)) + 1e-38);
            double silu = x * sigmoid;
            float gated = Map<V128>(x, &VectorMath.Silu);
            Assert.InRange(Math.Abs(gated - silu), 0, (Math.Abs(silu) * 1e-6) + 1e-36);
        }
    }

    private static IEnumerable<float> Arguments()
    {
        Random random = new(1);
        for (int i = 0; i < 200_000; i++)
            yield return (random.NextSingle() * 175.6f) - 87.3f;
        for (int i = 0; i < 50_000; i++)
            yield return (random.NextSingle() - 0.5f) * MathF.ScaleB(1, -random.Next(30));
    }

    private static float Exp<T>(float x)
        where T : unmanaged, ISimd<T> => Map<T>(x, &VectorMath.Exp);

    /// <summary>Every lane must agree, whatever stands in the others.</summary>
    private static float Map<T>(float x, delegate*<T, T> function)
        where T : unmanaged, ISimd<T>
    {
        float* lanes = stackalloc float[T.Lanes];
        T.Store(function(T.Broadcast(x)), lanes);
        for (int i = 1; i < T.Lanes; i++)
            Assert.Equal(lanes[0], lanes[i]);
        return lanes[0];
    }
}
