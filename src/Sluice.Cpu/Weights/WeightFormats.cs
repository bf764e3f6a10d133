using System.Runtime.CompilerServices;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Weights;

/// <summary>How weights of one type lie in a panel, and how they become float32 in registers.</summary>
/// <remarks>
/// A panel holds 32 outputs, [column pairs, <see cref="PairBytes"/>]: the weights of 32 outputs for two columns. They are
/// interleaved so that one load gives registers of outputs 0.. and 16.. of a column: whatever the register's width L, group g
/// of a panel, at byte <c>4 L g</c> of each pair, gives outputs <c>L g ..</c> (low) and <c>16 + L g ..</c> (high).
/// </remarks>
internal unsafe interface IWeightFormat
{
    /// <summary>Bytes of a weight.</summary>
    static abstract int ElementBytes { get; }

    /// <summary>Whether blocks of columns have scales, one for each output.</summary>
    static abstract bool Scaled { get; }

    /// <summary>Bytes of two columns of a panel.</summary>
    static virtual int PairBytes<TFormat>()
        where TFormat : IWeightFormat => 64 * TFormat.ElementBytes;

    /// <summary>Loads a group of two columns, 0 and 1.</summary>
    static abstract void LoadPair<T>(byte* group, out T low0, out T high0, out T low1, out T high1)
        where T : unmanaged, ISimd<T>;
}

/// <summary>[2 columns, 32 outputs], float32.</summary>
internal readonly unsafe struct F32Format : IWeightFormat
{
    public static int ElementBytes => 4;

    public static bool Scaled => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPair<T>(byte* group, out T low0, out T high0, out T low1, out T high1)
        where T : unmanaged, ISimd<T>
    {
        low0 = T.Load((float*)group);
        high0 = T.Load((float*)(group + 64));
        low1 = T.Load((float*)(group + 128));
        high1 = T.Load((float*)(group + 192));
    }
}

/// <summary>[2 columns, 16 pairs of outputs j and 16 + j], bfloat16.</summary>
internal readonly unsafe struct BF16Format : IWeightFormat
{
    public static int ElementBytes => 2;

    public static bool Scaled => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPair<T>(byte* group, out T low0, out T high0, out T low1, out T high1)
        where T : unmanaged, ISimd<T>
    {
        T.LoadWords(group, out low0, out high0);
        T.LoadWords(group + 64, out low1, out high1);
    }
}

/// <summary>As <see cref="BF16Format"/>, IEEE binary16.</summary>
internal readonly unsafe struct F16Format : IWeightFormat
{
    public static int ElementBytes => 2;

    public static bool Scaled => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPair<T>(byte* group, out T low0, out T high0, out T low1, out T high1)
        where T : unmanaged, ISimd<T>
    {
        T.LoadWords(group, out low0, out high0);
        T.LoadWords(group + 64, out low1, out high1);
        low0 = SmallFloat.FromF16(low0);
        high0 = SmallFloat.FromF16(high0);
        low1 = SmallFloat.FromF16(low1);
        high1 = SmallFloat.FromF16(high1);
    }
}

/// <summary>[4 quarters, 2 columns, 4 pairs of outputs j and 16 + j of the quarter], E4M3 with scales.</summary>
internal readonly unsafe struct E4M3Format : IWeightFormat
{
    public static int ElementBytes => 1;

    public static bool Scaled => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadPair<T>(byte* group, out T low0, out T high0, out T low1, out T high1)
        where T : unmanaged, ISimd<T> =>
        T.LoadE4M3(group, out low0, out high0, out low1, out high1);
}
