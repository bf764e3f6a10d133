using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Sluice.Cpu.Simd;

/// <summary>8 lanes: AVX2 with FMA, which .NET only enables together.</summary>
internal unsafe struct V256 : ISimd<V256>
{
    /// <summary>Set by initialisers, not by a constructor: that would double the methods the compiler must inline, and it has a budget.</summary>
    internal Vector256<float> Register;

    public static int Lanes => 8;

    public static bool ManyRegisters => Avx512F.VL.IsSupported;

    public static V256 Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new() { Register = Vector256<float>.Zero };
    }

    public static V256 LaneNumbers
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new() { Register = Vector256.Create(0f, 1, 2, 3, 4, 5, 6, 7) };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Broadcast(float value) => new() { Register = Vector256.Create(value) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 BroadcastAt(float* source) => new() { Register = Vector256.Create(*source) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Load(float* source) => new() { Register = Vector256.Load(source) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 LoadSignedBytes(sbyte* source) => new() { Register = Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(source)) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(V256 value, float* destination) => value.Register.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator +(V256 a, V256 b) => new() { Register = a.Register + b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator -(V256 a, V256 b) => new() { Register = a.Register - b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator *(V256 a, V256 b) => new() { Register = a.Register * b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator /(V256 a, V256 b) => new() { Register = a.Register / b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 MultiplyAdd(V256 a, V256 b, V256 c) => new() { Register = Fma.MultiplyAdd(a.Register, b.Register, c.Register) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Max(V256 a, V256 b) => new() { Register = Vector256.MaxNative(a.Register, b.Register) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 SelectLess(V256 a, V256 b, V256 yes, V256 no) =>
        new() { Register = Vector256.ConditionalSelect(Vector256.LessThan(a.Register, b.Register), yes.Register, no.Register) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(V256 value) => V128.Sum(new V128 { Register = value.Register.GetLower() + value.Register.GetUpper() });

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(V256 value) => V128.Largest(new V128 { Register = Vector128.MaxNative(value.Register.GetLower(), value.Register.GetUpper()) });

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 PowerOfTwo(V256 shifted) =>
        new() { Register = ((shifted.Register.AsInt32() + Vector256.Create(127)) << 23).AsSingle() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 And(V256 value, uint mask) => new() { Register = (value.Register.AsUInt32() & Vector256.Create(mask)).AsSingle() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Or(V256 a, V256 b) => new() { Register = a.Register | b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 ShiftRightAndAdd(V256 value, int count, uint addend) =>
        new() { Register = ((value.Register.AsUInt32() >> count) + Vector256.Create(addend)).AsSingle() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SplitWords(V256 words, out V256 low, out V256 high)
    {
        low = new V256 { Register = (words.Register.AsUInt32() << 16).AsSingle() };
        high = new V256 { Register = (words.Register.AsUInt32() & Vector256.Create(0xFFFF0000u)).AsSingle() };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadE4M3(byte* source, in E4M3Tables tables, out V256 first, out V256 second)
    {
        (Vector256<byte> lower, Vector256<byte> upper) = E4M3.Decode(Vector256.Load(source));
        first = new V256 { Register = Avx2.UnpackLow(lower, upper).AsSingle() };
        second = new V256 { Register = Avx2.UnpackHigh(lower, upper).AsSingle() };
    }
}
