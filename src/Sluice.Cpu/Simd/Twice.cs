using System.Runtime.CompilerServices;

namespace Sluice.Cpu.Simd;

/// <summary>
/// Two registers that act as one of twice the width. With it, kernels whose arithmetic depends on the number of lanes (sums over
/// a row) always see 16 of them: <see cref="V512"/>, two of <see cref="V256"/> or four of <see cref="V128"/>.
/// </summary>
internal unsafe struct Twice<T> : ISimd<Twice<T>>
    where T : unmanaged, ISimd<T>
{
    private T _lower;
    private T _upper;

    public static int Lanes => 2 * T.Lanes;

    /// <summary>Not as far as kernels should count on.</summary>
    public static bool ManyRegisters => false;

    public static Twice<T> Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new() { _lower = T.Zero, _upper = T.Zero };
    }

    public static Twice<T> LaneNumbers
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new() { _lower = T.LaneNumbers, _upper = T.LaneNumbers + T.Broadcast(T.Lanes) };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> Broadcast(float value) => new() { _lower = T.Broadcast(value), _upper = T.Broadcast(value) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> BroadcastAt(float* source) => new() { _lower = T.BroadcastAt(source), _upper = T.BroadcastAt(source) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> Load(float* source) => new() { _lower = T.Load(source), _upper = T.Load(source + T.Lanes) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> LoadSignedBytes(sbyte* source) =>
        new() { _lower = T.LoadSignedBytes(source), _upper = T.LoadSignedBytes(source + T.Lanes) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Twice<T> value, float* destination)
    {
        T.Store(value._lower, destination);
        T.Store(value._upper, destination + T.Lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator +(Twice<T> a, Twice<T> b) => new() { _lower = a._lower + b._lower, _upper = a._upper + b._upper };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator -(Twice<T> a, Twice<T> b) => new() { _lower = a._lower - b._lower, _upper = a._upper - b._upper };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator *(Twice<T> a, Twice<T> b) => new() { _lower = a._lower * b._lower, _upper = a._upper * b._upper };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator /(Twice<T> a, Twice<T> b) => new() { _lower = a._lower / b._lower, _upper = a._upper / b._upper };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> MultiplyAdd(Twice<T> a, Twice<T> b, Twice<T> c) =>
        new() { _lower = T.MultiplyAdd(a._lower, b._lower, c._lower), _upper = T.MultiplyAdd(a._upper, b._upper, c._upper) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> Max(Twice<T> a, Twice<T> b) => new() { _lower = T.Max(a._lower, b._lower), _upper = T.Max(a._upper, b._upper) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> SelectLess(Twice<T> a, Twice<T> b, Twice<T> yes, Twice<T> no) => new() { _lower = T.SelectLess(a._lower, b._lower, yes._lower, no._lower), _upper = T.SelectLess(a._upper, b._upper, yes._upper, no._upper) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Twice<T> value) => T.Sum(value._lower + value._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Twice<T> value) => T.Largest(T.Max(value._lower, value._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> PowerOfTwo(Twice<T> shifted) => new() { _lower = T.PowerOfTwo(shifted._lower), _upper = T.PowerOfTwo(shifted._upper) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> And(Twice<T> value, uint mask) => new() { _lower = T.And(value._lower, mask), _upper = T.And(value._upper, mask) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> Or(Twice<T> a, Twice<T> b) => new() { _lower = T.Or(a._lower, b._lower), _upper = T.Or(a._upper, b._upper) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> ShiftRightAndAdd(Twice<T> value, int count, uint addend) =>
        new() { _lower = T.ShiftRightAndAdd(value._lower, count, addend), _upper = T.ShiftRightAndAdd(value._upper, count, addend) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SplitWords(Twice<T> words, out Twice<T> low, out Twice<T> high)
    {
        T.SplitWords(words._lower, out T low0, out T high0);
        T.SplitWords(words._upper, out T low1, out T high1);
        low = new Twice<T> { _lower = low0, _upper = low1 };
        high = new Twice<T> { _lower = high0, _upper = high1 };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadE4M3(byte* source, in E4M3Tables tables, out Twice<T> first, out Twice<T> second)
    {
        T.LoadE4M3(source, tables, out T first0, out T second0);
        T.LoadE4M3(source + (4 * T.Lanes), tables, out T first1, out T second1);
        first = new Twice<T> { _lower = first0, _upper = first1 };
        second = new Twice<T> { _lower = second0, _upper = second1 };
    }
}
