using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Sluice.Cpu.Simd;

/// <summary>16 lanes: AVX-512.</summary>
internal unsafe struct V512 : ISimd<V512>
{
    /// <summary>Set by initialisers, not by a constructor: that would double the methods the compiler must inline, and it has a budget.</summary>
    internal Vector512<float> Register;

    public static int Lanes => 16;

    public static bool ManyRegisters => true;

    public static V512 Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new() { Register = Vector512<float>.Zero };
    }

    public static V512 LaneNumbers
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new() { Register = Vector512.Create(0f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 Broadcast(float value) => new() { Register = Vector512.Create(value) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 BroadcastAt(float* source) => new() { Register = Vector512.Create(*source) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 Load(float* source) => new() { Register = Vector512.Load(source) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 LoadSignedBytes(sbyte* source) => new() { Register = Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(source))) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(V512 value, float* destination) => value.Register.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 operator +(V512 a, V512 b) => new() { Register = a.Register + b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 operator -(V512 a, V512 b) => new() { Register = a.Register - b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 operator *(V512 a, V512 b) => new() { Register = a.Register * b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 operator /(V512 a, V512 b) => new() { Register = a.Register / b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 MultiplyAdd(V512 a, V512 b, V512 c) => new() { Register = Avx512F.FusedMultiplyAdd(a.Register, b.Register, c.Register) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 Max(V512 a, V512 b) => new() { Register = Vector512.MaxNative(a.Register, b.Register) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 SelectLess(V512 a, V512 b, V512 yes, V512 no) =>
        new() { Register = Vector512.ConditionalSelect(Vector512.LessThan(a.Register, b.Register), yes.Register, no.Register) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(V512 value) => V256.Sum(new V256 { Register = value.Register.GetLower() + value.Register.GetUpper() });

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(V512 value) => V256.Largest(new V256 { Register = Vector256.MaxNative(value.Register.GetLower(), value.Register.GetUpper()) });

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 PowerOfTwo(V512 shifted) =>
        new() { Register = ((shifted.Register.AsInt32() + Vector512.Create(127)) << 23).AsSingle() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 And(V512 value, uint mask) => new() { Register = (value.Register.AsUInt32() & Vector512.Create(mask)).AsSingle() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 Or(V512 a, V512 b) => new() { Register = a.Register | b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512 ShiftRightAndAdd(V512 value, int count, uint addend) =>
        new() { Register = ((value.Register.AsUInt32() >> count) + Vector512.Create(addend)).AsSingle() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SplitWords(V512 words, out V512 low, out V512 high)
    {
        low = new V512 { Register = (words.Register.AsUInt32() << 16).AsSingle() };
        high = new V512 { Register = (words.Register.AsUInt32() & Vector512.Create(0xFFFF0000u)).AsSingle() };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadE4M3(byte* source, in E4M3Tables tables, out V512 first, out V512 second)
    {
        (Vector512<byte> lower, Vector512<byte> upper) = E4M3.Decode(Vector512.Load(source), tables);
        first = new V512 { Register = Avx512BW.UnpackLow(lower, upper).AsSingle() };
        second = new V512 { Register = Avx512BW.UnpackHigh(lower, upper).AsSingle() };
    }
}
