using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Sluice.Cpu.Simd;

/// <summary>4 lanes: NEON, and SSE2 for what comes before AVX2.</summary>
internal unsafe struct V128 : ISimd<V128>
{
    /// <summary>Set by initialisers, not by a constructor: that would double the methods the compiler must inline, and it has a budget.</summary>
    internal Vector128<float> Register;

    /// <summary>Whether <see cref="MultiplyAdd"/> rounds once.</summary>
    public static bool FusesMultiplyAdd => AdvSimd.IsSupported || Fma.IsSupported;

    public static int Lanes => 4;

    public static bool ManyRegisters => AdvSimd.IsSupported || Avx512F.VL.IsSupported;

    public static V128 Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new() { Register = Vector128<float>.Zero };
    }

    public static V128 LaneNumbers
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new() { Register = Vector128.Create(0f, 1, 2, 3) };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Broadcast(float value) => new() { Register = Vector128.Create(value) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 BroadcastAt(float* source) => new() { Register = Vector128.Create(*source) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Load(float* source) => new() { Register = Vector128.Load(source) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 LoadSignedBytes(sbyte* source)
    {
        Vector128<int> words = Sse41.IsSupported
            ? Sse41.ConvertToVector128Int32(source)
            : Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(Unsafe.ReadUnaligned<int>(source)).AsSByte()));
        return new() { Register = Vector128.ConvertToSingle(words) };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(V128 value, float* destination) => value.Register.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator +(V128 a, V128 b) => new() { Register = a.Register + b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator -(V128 a, V128 b) => new() { Register = a.Register - b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator *(V128 a, V128 b) => new() { Register = a.Register * b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator /(V128 a, V128 b) => new() { Register = a.Register / b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 MultiplyAdd(V128 a, V128 b, V128 c)
    {
        if (AdvSimd.IsSupported)
            return new() { Register = AdvSimd.FusedMultiplyAdd(c.Register, a.Register, b.Register) };
        return Fma.IsSupported ? new() { Register = Fma.MultiplyAdd(a.Register, b.Register, c.Register) } : new() { Register = (a.Register * b.Register) + c.Register };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Max(V128 a, V128 b) => new() { Register = Vector128.MaxNative(a.Register, b.Register) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 SelectLess(V128 a, V128 b, V128 yes, V128 no) =>
        new() { Register = Vector128.ConditionalSelect(Vector128.LessThan(a.Register, b.Register), yes.Register, no.Register) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(V128 value)
    {
        Vector128<float> halves = value.Register + Vector128.Shuffle(value.Register, Vector128.Create(2, 3, 0, 1));
        return halves.ToScalar() + halves.GetElement(1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(V128 value)
    {
        Vector128<float> halves = Vector128.MaxNative(value.Register, Vector128.Shuffle(value.Register, Vector128.Create(2, 3, 0, 1)));
        return MathF.Max(halves.ToScalar(), halves.GetElement(1));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 PowerOfTwo(V128 shifted) =>
        new() { Register = ((shifted.Register.AsInt32() + Vector128.Create(127)) << 23).AsSingle() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 And(V128 value, uint mask) => new() { Register = (value.Register.AsUInt32() & Vector128.Create(mask)).AsSingle() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Or(V128 a, V128 b) => new() { Register = a.Register | b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 ShiftRightAndAdd(V128 value, int count, uint addend) =>
        new() { Register = ((value.Register.AsUInt32() >> count) + Vector128.Create(addend)).AsSingle() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SplitWords(V128 words, out V128 low, out V128 high)
    {
        low = new V128 { Register = (words.Register.AsUInt32() << 16).AsSingle() };
        high = new V128 { Register = (words.Register.AsUInt32() & Vector128.Create(0xFFFF0000u)).AsSingle() };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadE4M3(byte* source, in E4M3Tables tables, out V128 first, out V128 second)
    {
        (Vector128<byte> lower, Vector128<byte> upper) = E4M3.Decode(Vector128.Load(source));
        first = new V128 { Register = (Vector128.WidenLower(lower) | (Vector128.WidenLower(upper) << 8)).AsSingle() };
        second = new V128 { Register = (Vector128.WidenUpper(lower) | (Vector128.WidenUpper(upper) << 8)).AsSingle() };
    }
}
