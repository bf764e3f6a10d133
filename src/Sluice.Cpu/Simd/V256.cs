using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Sluice.Cpu.Simd;

/// <summary>8 lanes: AVX2 with FMA, which .NET only enables together.</summary>
internal readonly unsafe struct V256 : ISimd<V256>
{
    private readonly Vector256<float> _v;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal V256(Vector256<float> v) => _v = v;

    public static int Lanes => 8;

    public static V256 Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(Vector256<float>.Zero);
    }

    public static V256 LaneNumbers
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(Vector256.Create(0f, 1, 2, 3, 4, 5, 6, 7));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Broadcast(float value) => new(Vector256.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 BroadcastAt(float* source) => new(Vector256.Create(*source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Load(float* source) => new(Vector256.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(V256 value, float* destination) => value._v.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator +(V256 a, V256 b) => new(a._v + b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator -(V256 a, V256 b) => new(a._v - b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator *(V256 a, V256 b) => new(a._v * b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator /(V256 a, V256 b) => new(a._v / b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 MultiplyAdd(V256 a, V256 b, V256 c) => new(Fma.MultiplyAdd(a._v, b._v, c._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Max(V256 a, V256 b) => new(Vector256.MaxNative(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 SelectLess(V256 a, V256 b, V256 yes, V256 no) =>
        new(Vector256.ConditionalSelect(Vector256.LessThan(a._v, b._v), yes._v, no._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(V256 value) => V128.Sum(new V128(value._v.GetLower() + value._v.GetUpper()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(V256 value) => V128.Largest(new V128(Vector128.MaxNative(value._v.GetLower(), value._v.GetUpper())));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 PowerOfTwo(V256 shifted) =>
        new(((shifted._v.AsInt32() + Vector256.Create(127)) << 23).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 And(V256 value, uint mask) => new((value._v.AsUInt32() & Vector256.Create(mask)).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Or(V256 a, V256 b) => new(a._v | b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 ShiftRightAndAdd(V256 value, int count, uint addend) =>
        new(((value._v.AsUInt32() >> count) + Vector256.Create(addend)).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadWords(byte* source, out V256 low, out V256 high) =>
        Split(Vector256.Load(source).AsUInt32(), out low, out high);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadBytes(byte* source, out V256 low0, out V256 high0, out V256 low1, out V256 high1)
    {
        Vector256<byte> bytes = Vector256.Load(source);
        Split(Avx2.UnpackLow(Vector256<byte>.Zero, bytes).AsUInt32(), out low0, out high0);
        Split(Avx2.UnpackHigh(Vector256<byte>.Zero, bytes).AsUInt32(), out low1, out high1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadE4M3(byte* source, out V256 low0, out V256 high0, out V256 low1, out V256 high1)
    {
        LoadBytes(source, out low0, out high0, out low1, out high1);
        low0 = SmallFloat.FromE4M3(low0);
        high0 = SmallFloat.FromE4M3(high0);
        low1 = SmallFloat.FromE4M3(low1);
        high1 = SmallFloat.FromE4M3(high1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Split(Vector256<uint> words, out V256 low, out V256 high)
    {
        low = new V256((words << 16).AsSingle());
        high = new V256((words & Vector256.Create(0xFFFF0000u)).AsSingle());
    }
}
