using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Sluice.Cpu.Simd;

/// <summary>4 lanes: NEON, and SSE2 for what comes before AVX2.</summary>
internal readonly unsafe struct V128 : ISimd<V128>
{
    private readonly Vector128<float> _v;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal V128(Vector128<float> v) => _v = v;

    /// <summary>Whether <see cref="MultiplyAdd"/> rounds once.</summary>
    public static bool FusesMultiplyAdd => AdvSimd.IsSupported || Fma.IsSupported;

    public static int Lanes => 4;

    public static V128 Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(Vector128<float>.Zero);
    }

    public static V128 LaneNumbers
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(Vector128.Create(0f, 1, 2, 3));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Broadcast(float value) => new(Vector128.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 BroadcastAt(float* source) => new(Vector128.Create(*source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Load(float* source) => new(Vector128.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(V128 value, float* destination) => value._v.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator +(V128 a, V128 b) => new(a._v + b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator -(V128 a, V128 b) => new(a._v - b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator *(V128 a, V128 b) => new(a._v * b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator /(V128 a, V128 b) => new(a._v / b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 MultiplyAdd(V128 a, V128 b, V128 c)
    {
        if (AdvSimd.IsSupported)
            return new(AdvSimd.FusedMultiplyAdd(c._v, a._v, b._v));
        return Fma.IsSupported ? new(Fma.MultiplyAdd(a._v, b._v, c._v)) : new((a._v * b._v) + c._v);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Max(V128 a, V128 b) => new(Vector128.MaxNative(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 SelectLess(V128 a, V128 b, V128 yes, V128 no) =>
        new(Vector128.ConditionalSelect(Vector128.LessThan(a._v, b._v), yes._v, no._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(V128 value)
    {
        Vector128<float> halves = value._v + Vector128.Shuffle(value._v, Vector128.Create(2, 3, 0, 1));
        return halves.ToScalar() + halves.GetElement(1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(V128 value)
    {
        Vector128<float> halves = Vector128.MaxNative(value._v, Vector128.Shuffle(value._v, Vector128.Create(2, 3, 0, 1)));
        return MathF.Max(halves.ToScalar(), halves.GetElement(1));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 PowerOfTwo(V128 shifted) =>
        new(((shifted._v.AsInt32() + Vector128.Create(127)) << 23).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 And(V128 value, uint mask) => new((value._v.AsUInt32() & Vector128.Create(mask)).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Or(V128 a, V128 b) => new(a._v | b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 ShiftRightAndAdd(V128 value, int count, uint addend) =>
        new(((value._v.AsUInt32() >> count) + Vector128.Create(addend)).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadWords(byte* source, out V128 low, out V128 high) =>
        Split(Vector128.Load(source).AsUInt32(), out low, out high);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadBytes(byte* source, out V128 low0, out V128 high0, out V128 low1, out V128 high1)
    {
        // Widening puts each byte into the lower half of a word; the shift leaves it in the upper one.
        (Vector128<ushort> first, Vector128<ushort> second) = Vector128.Widen(Vector128.Load(source));
        Split((first << 8).AsUInt32(), out low0, out high0);
        Split((second << 8).AsUInt32(), out low1, out high1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadE4M3(byte* source, out V128 low0, out V128 high0, out V128 low1, out V128 high1)
    {
        LoadBytes(source, out low0, out high0, out low1, out high1);
        low0 = SmallFloat.FromE4M3(low0);
        high0 = SmallFloat.FromE4M3(high0);
        low1 = SmallFloat.FromE4M3(low1);
        high1 = SmallFloat.FromE4M3(high1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Split(Vector128<uint> words, out V128 low, out V128 high)
    {
        low = new V128((words << 16).AsSingle());
        high = new V128((words & Vector128.Create(0xFFFF0000u)).AsSingle());
    }
}
