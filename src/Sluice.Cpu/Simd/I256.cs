using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Sluice.Cpu.Simd;

/// <summary>8 lanes: AVX2.</summary>
internal unsafe struct I256 : IIntegers<I256, V256>
{
    internal Vector256<int> Register;

    public static int Bytes => 32;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 Broadcast(uint value) => new() { Register = Vector256.Create((int)value) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 BroadcastAt(void* source) => new() { Register = Avx2.BroadcastScalarToVector256((int*)source) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 Load(void* source) => new() { Register = Vector256.Load((int*)source) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(I256 value, void* destination) => value.Register.Store((int*)destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 LoadBytesAsWords(byte* source) => new() { Register = Avx2.ConvertToVector256Int16(source).AsInt32() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 LoadWordsAsUpperHalves(ushort* source) => new() { Register = Avx2.ConvertToVector256Int32(source) << 16 };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 operator +(I256 a, I256 b) => new() { Register = a.Register + b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 operator &(I256 a, I256 b) => new() { Register = a.Register & b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 operator |(I256 a, I256 b) => new() { Register = a.Register | b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 operator ^(I256 a, I256 b) => new() { Register = a.Register ^ b.Register };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 ShiftWordsUp(I256 value, int count) => new() { Register = (value.Register.AsUInt16() << count).AsInt32() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 ShiftWordsDown(I256 value, int count) => new() { Register = (value.Register.AsUInt16() >> count).AsInt32() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 ShiftSignedWordsDown(I256 value, int count) => new() { Register = (value.Register.AsInt16() >> count).AsInt32() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 MultiplyWords(I256 a, I256 b) => new() { Register = Avx2.MultiplyAddAdjacent(a.Register.AsInt16(), b.Register.AsInt16()) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 AsFloat(I256 value) => new() { Register = value.Register.AsSingle() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 ConvertToFloat(I256 value) => new() { Register = Vector256.ConvertToSingle(value.Register) };
}
