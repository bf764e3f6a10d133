using System.Runtime.CompilerServices;
using Sluice.Cpu.Simd;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>A block of a strip (32 columns of 16 outputs) unpacked into memory for all rows that pass by.</summary>
internal static unsafe class Int8Block<TInt, TFloat, TDot, TElements>
    where TInt : unmanaged, IIntegers<TInt, TFloat>
    where TFloat : unmanaged, ISimd<TFloat>
    where TDot : struct, IInt8Dot<TInt>
    where TElements : struct, IInt8Elements<TInt>
{
    private const int QuadBytes = QuantisedFormat.QuadBytes;

    /// <summary>Whether weights are stored 128 too large and lose that here.</summary>
    public static bool LosesOffset => TDot.IsSigned && TElements.Largest > sbyte.MaxValue;

    /// <summary>Unpacks weights: [8 quads, 16 outputs, 4] bytes, or [8 quads, even or odd columns, 16 outputs, 2] words.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void Unpack(byte* low, byte* high, byte* to)
    {
        nint bytes = TInt.Bytes, step = TDot.IsInWords ? 2 * QuadBytes : QuadBytes;
        for (nint at = 0; at < QuadBytes; at += bytes, low += bytes, high += bytes, to += bytes)
        {
            Put(TElements.First(low, high, 0), to);
            Put(TElements.First(low, high, 1), to + step);
            Put(TElements.First(low, high, 2), to + (2 * step));
            Put(TElements.First(low, high, 3), to + (3 * step));
            Put(TElements.Second(low, high, 0), to + (4 * step));
            Put(TElements.Second(low, high, 1), to + (5 * step));
            Put(TElements.Second(low, high, 2), to + (6 * step));
            Put(TElements.Second(low, high, 3), to + (7 * step));
        }
    }

    /// <summary>Bytes with the sign they are multiplied with. Not by way of the property: where this is inlined the compiler's budget is spent.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TInt Signed(TInt weights) => TDot.IsSigned && TElements.Largest > sbyte.MaxValue ? weights ^ TInt.Broadcast(0x8080_8080) : weights;

    /// <summary>Words of even columns of a quad.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TInt Even(TInt weights) => weights & TInt.Broadcast(0x00FF_00FF);

    /// <summary>Words of odd columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TInt Odd(TInt weights) => TInt.ShiftWordsDown(weights, 8);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(TInt weights, byte* to)
    {
        if (!TDot.IsInWords)
        {
            TInt.Store(Signed(weights), to);
            return;
        }

        TInt.Store(Even(weights), to);
        TInt.Store(Odd(weights), to + QuadBytes);
    }
}
