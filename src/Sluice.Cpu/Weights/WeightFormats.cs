using System.Runtime.CompilerServices;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Weights;

/// <summary>How weights of one type lie in a panel, and how they become float32 in registers.</summary>
/// <remarks>
/// A panel holds 32 outputs, [column pairs, 64 * <see cref="ElementBytes"/>]: the weights of 32 outputs for two columns. They are
/// interleaved so that one load gives registers of outputs 0.. and 16.. of a column: whatever the register's width L, group g
/// of a panel, at byte <c>4 L g</c> of each pair, gives outputs <c>L g ..</c> (low) and <c>16 + L g ..</c> (high).
/// </remarks>
internal unsafe interface IWeightFormat
{
    /// <summary>Bytes of a weight.</summary>
    static abstract int ElementBytes { get; }

    /// <summary>Whether blocks of columns have scales, one for each output.</summary>
    static abstract bool Scaled { get; }

    /// <summary>Whether loading takes so much arithmetic that a block which many rows pass by is better decoded once.</summary>
    static virtual bool IsCostly => false;

    /// <summary>Whether weights are in the first-level cache already, so that nothing need be fetched ahead.</summary>
    static virtual bool IsInFirstLevel => false;

    /// <summary>What <see cref="LoadFirst"/> looks up in, to be taken before a loop; nothing for most formats.</summary>
    static virtual E4M3Tables Tables
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => default;
    }

    /// <summary>Loads a group of the first of two columns; <paramref name="kept"/> is for <see cref="LoadSecond"/>.</summary>
    static abstract void LoadFirst<T>(byte* group, in E4M3Tables tables, out T low, out T high, out T kept)
        where T : unmanaged, ISimd<T>;

    /// <summary>Loads the same group of the second column: later, since registers are few.</summary>
    static abstract void LoadSecond<T>(byte* group, T kept, out T low, out T high)
        where T : unmanaged, ISimd<T>;
}

/// <summary>[2 columns, 32 outputs], float32.</summary>
internal readonly unsafe struct F32Format : IWeightFormat
{
    public static int ElementBytes => 4;

    public static bool Scaled => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadFirst<T>(byte* group, in E4M3Tables tables, out T low, out T high, out T kept)
        where T : unmanaged, ISimd<T>
    {
        low = T.Load((float*)group);
        high = T.Load((float*)(group + 64));
        kept = default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadSecond<T>(byte* group, T kept, out T low, out T high)
        where T : unmanaged, ISimd<T>
    {
        low = T.Load((float*)(group + 128));
        high = T.Load((float*)(group + 192));
    }
}

/// <summary>A block of <typeparamref name="TFormat"/> decoded to float32 for all rows that pass by, as in <see cref="F32Format"/>; its scales are still those of the block.</summary>
internal readonly unsafe struct DecodedFormat<TFormat> : IWeightFormat
    where TFormat : unmanaged, IWeightFormat
{
    public static int ElementBytes => F32Format.ElementBytes;

    public static bool Scaled => TFormat.Scaled;

    public static bool IsInFirstLevel => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadFirst<T>(byte* group, in E4M3Tables tables, out T low, out T high, out T kept)
        where T : unmanaged, ISimd<T> => F32Format.LoadFirst(group, tables, out low, out high, out kept);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadSecond<T>(byte* group, T kept, out T low, out T high)
        where T : unmanaged, ISimd<T> => F32Format.LoadSecond(group, kept, out low, out high);
}

/// <summary>[32 outputs, 2 columns], bfloat16, the first column in the upper half of its word: as <c>vdpbf16ps</c> takes them.</summary>
internal readonly unsafe struct BF16Format : IWeightFormat
{
    public static int ElementBytes => 2;

    public static bool Scaled => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadFirst<T>(byte* group, in E4M3Tables tables, out T low, out T high, out T kept)
        where T : unmanaged, ISimd<T>
    {
        T.SplitWords(T.Load((float*)group), out _, out low);
        T.SplitWords(T.Load((float*)(group + 64)), out _, out high);
        kept = default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadSecond<T>(byte* group, T kept, out T low, out T high)
        where T : unmanaged, ISimd<T>
    {
        T.SplitWords(T.Load((float*)group), out low, out _);
        T.SplitWords(T.Load((float*)(group + 64)), out high, out _);
    }
}

/// <summary>[2 columns, 16 pairs of outputs j and 16 + j], IEEE binary16.</summary>
internal readonly unsafe struct F16Format : IWeightFormat
{
    public static int ElementBytes => 2;

    public static bool Scaled => false;

    public static bool IsCostly => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadFirst<T>(byte* group, in E4M3Tables tables, out T low, out T high, out T kept)
        where T : unmanaged, ISimd<T>
    {
        LoadSecond(group - 64, default, out low, out high);
        kept = default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadSecond<T>(byte* group, T kept, out T low, out T high)
        where T : unmanaged, ISimd<T>
    {
        T.SplitWords(T.Load((float*)(group + 64)), out low, out high);
        low = F16.Widen(low);
        high = F16.Widen(high);
    }
}

/// <summary>[4 quarters, 2 columns, 4 pairs of outputs j and 16 + j of the quarter], E4M3 with scales.</summary>
internal readonly unsafe struct E4M3Format : IWeightFormat
{
    public static int ElementBytes => 1;

    public static bool Scaled => true;

    public static bool IsCostly => true;

    public static E4M3Tables Tables
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => E4M3Tables.Load();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadFirst<T>(byte* group, in E4M3Tables tables, out T low, out T high, out T kept)
        where T : unmanaged, ISimd<T>
    {
        T.LoadE4M3(group, tables, out T words, out kept);
        T.SplitWords(words, out low, out high);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadSecond<T>(byte* group, T kept, out T low, out T high)
        where T : unmanaged, ISimd<T> =>
        T.SplitWords(kept, out low, out high);
}
