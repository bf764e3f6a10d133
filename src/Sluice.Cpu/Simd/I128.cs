using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Sluice.Cpu.Simd;

/// <summary>4 lanes: NEON, and SSE2 for what comes before AVX2.</summary>
internal unsafe struct I128 : IIntegers<I128, V128>
{
    internal Vector128<int> Register;

    public static int Bytes => 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 Broadcast(uint value) => new() { Register = Vector128.Create((int)value) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 BroadcastAt(void* source) => new() { Register = Vector128.Create(*(int*)source) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 Load(void* source) => new() { Register = Vector128.Load((int*)source) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(I128 value, void* destination) => value.Register.Store((int*)destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 LoadBytesAsWords(byte* source) => new() { Register = Vector128.WidenLower(Eight(source).AsByte()).AsInt32() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 LoadWordsAsUpperHalves(ushort* source) => new() { Register = Vector128.WidenLower(Eight(source).AsUInt16()).AsInt32() << 16 };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 operator +(I128 a, I128 b) => new() { Register = a.Register + b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 operator &(I128 a, I128 b) => new() { Register = a.Register & b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 operator |(I128 a, I128 b) => new() { Register = a.Register | b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 operator ^(I128 a, I128 b) => new() { Register = a.Register ^ b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 ShiftWordsUp(I128 value, int count) => new() { Register = (value.Register.AsUInt16() << count).AsInt32() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 ShiftWordsDown(I128 value, int count) => new() { Register = (value.Register.AsUInt16() >> count).AsInt32() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 ShiftSignedWordsDown(I128 value, int count) => new() { Register = (value.Register.AsInt16() >> count).AsInt32() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 MultiplyWords(I128 a, I128 b)
    {
        if (Sse2.IsSupported)
            return new() { Register = Sse2.MultiplyAddAdjacent(a.Register.AsInt16(), b.Register.AsInt16()) };
        Vector128<int> lower = ((a.Register << 16) >> 16) * ((b.Register << 16) >> 16);
        return new() { Register = lower + ((a.Register >> 16) * (b.Register >> 16)) };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 AsFloat(I128 value) => new() { Register = value.Register.AsSingle() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 ConvertToFloat(I128 value) => new() { Register = Vector128.ConvertToSingle(value.Register) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<long> Eight(void* source) => Vector128.CreateScalarUnsafe(Unsafe.ReadUnaligned<long>(source));
}
