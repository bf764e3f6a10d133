using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Sluice.Cpu.Simd;

/// <summary>16 lanes: AVX-512.</summary>
internal readonly unsafe struct V512 : ISimd<V512>
{
    private readonly Vector512<float> _v;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private V512(Vector512<float> v) => _v = v;

    public static int Lanes => 16;

    public static V512 Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(Vector512<float>.Zero);
    }

    public static V512 LaneNumbers
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(Vector512.Create(0f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 Broadcast(float value) => new(Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 BroadcastAt(float* source) => new(Vector512.Create(*source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 Load(float* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(V512 value, float* destination) => value._v.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 operator +(V512 a, V512 b) => new(a._v + b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 operator -(V512 a, V512 b) => new(a._v - b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 operator *(V512 a, V512 b) => new(a._v * b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 operator /(V512 a, V512 b) => new(a._v / b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 MultiplyAdd(V512 a, V512 b, V512 c) => new(Avx512F.FusedMultiplyAdd(a._v, b._v, c._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 Max(V512 a, V512 b) => new(Vector512.MaxNative(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 SelectLess(V512 a, V512 b, V512 yes, V512 no) =>
        new(Vector512.ConditionalSelect(Vector512.LessThan(a._v, b._v), yes._v, no._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(V512 value) => V256.Sum(new V256(value._v.GetLower() + value._v.GetUpper()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(V512 value) => V256.Largest(new V256(Vector256.MaxNative(value._v.GetLower(), value._v.GetUpper())));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 PowerOfTwo(V512 shifted) =>
        new(((shifted._v.AsInt32() + Vector512.Create(127)) << 23).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 And(V512 value, uint mask) => new((value._v.AsUInt32() & Vector512.Create(mask)).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 Or(V512 a, V512 b) => new(a._v | b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 ShiftRightAndAdd(V512 value, int count, uint addend) =>
        new(((value._v.AsUInt32() >> count) + Vector512.Create(addend)).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadWords(byte* source, out V512 low, out V512 high) =>
        Split(Vector512.Load(source).AsUInt32(), out low, out high);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadBytes(byte* source, out V512 low0, out V512 high0, out V512 low1, out V512 high1)
    {
        Vector512<byte> bytes = Vector512.Load(source);
        Split(Avx512BW.UnpackLow(Vector512<byte>.Zero, bytes).AsUInt32(), out low0, out high0);
        Split(Avx512BW.UnpackHigh(Vector512<byte>.Zero, bytes).AsUInt32(), out low1, out high1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadE4M3(byte* source, out V512 low0, out V512 high0, out V512 low1, out V512 high1)
    {
        if (!Avx512Vbmi.IsSupported)
        {
            LoadBytes(source, out low0, out high0, out low1, out high1);
            low0 = SmallFloat.FromE4M3(low0);
            high0 = SmallFloat.FromE4M3(high0);
            low1 = SmallFloat.FromE4M3(low1);
            high1 = SmallFloat.FromE4M3(high1);
            return;
        }

        // Every E4M3 value is a BF16 value: the lower seven bits look up its two bytes, the eighth is the sign.
        Vector512<byte> bytes = Vector512.Load(source);
        Vector512<byte> lower = Avx512Vbmi.PermuteVar64x8x2(E4M3Table.LowerBytes0, bytes, E4M3Table.LowerBytes1);
        Vector512<byte> upper = Avx512Vbmi.PermuteVar64x8x2(E4M3Table.UpperBytes0, bytes, E4M3Table.UpperBytes1)
            | (bytes & Vector512.Create((byte)0x80));
        Split(Avx512BW.UnpackLow(lower, upper).AsUInt32(), out low0, out high0);
        Split(Avx512BW.UnpackHigh(lower, upper).AsUInt32(), out low1, out high1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Split(Vector512<uint> words, out V512 low, out V512 high)
    {
        low = new V512((words << 16).AsSingle());
        high = new V512((words & Vector512.Create(0xFFFF0000u)).AsSingle());
    }
}
