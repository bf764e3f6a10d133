using System.Runtime.CompilerServices;

namespace Sluice.Cpu.Simd;

/// <summary>
/// Two registers that act as one of twice the width. With it, kernels whose arithmetic depends on the number of lanes (sums over
/// a row) always see 16 of them: <see cref="V512"/>, two of <see cref="V256"/> or four of <see cref="V128"/>.
/// </summary>
internal readonly unsafe struct Twice<T> : ISimd<Twice<T>>
    where T : unmanaged, ISimd<T>
{
    private readonly T _lower;
    private readonly T _upper;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Twice(T lower, T upper)
    {
        _lower = lower;
        _upper = upper;
    }

    public static int Lanes => 2 * T.Lanes;

    public static Twice<T> Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(T.Zero, T.Zero);
    }

    public static Twice<T> LaneNumbers
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(T.LaneNumbers, T.LaneNumbers + T.Broadcast(T.Lanes));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> Broadcast(float value) => new(T.Broadcast(value), T.Broadcast(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> BroadcastAt(float* source) => new(T.BroadcastAt(source), T.BroadcastAt(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> Load(float* source) => new(T.Load(source), T.Load(source + T.Lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Twice<T> value, float* destination)
    {
        T.Store(value._lower, destination);
        T.Store(value._upper, destination + T.Lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator +(Twice<T> a, Twice<T> b) => new(a._lower + b._lower, a._upper + b._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator -(Twice<T> a, Twice<T> b) => new(a._lower - b._lower, a._upper - b._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator *(Twice<T> a, Twice<T> b) => new(a._lower * b._lower, a._upper * b._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> operator /(Twice<T> a, Twice<T> b) => new(a._lower / b._lower, a._upper / b._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> MultiplyAdd(Twice<T> a, Twice<T> b, Twice<T> c) =>
        new(T.MultiplyAdd(a._lower, b._lower, c._lower), T.MultiplyAdd(a._upper, b._upper, c._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> Max(Twice<T> a, Twice<T> b) => new(T.Max(a._lower, b._lower), T.Max(a._upper, b._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> SelectLess(Twice<T> a, Twice<T> b, Twice<T> yes, Twice<T> no) => new(
        T.SelectLess(a._lower, b._lower, yes._lower, no._lower),
        T.SelectLess(a._upper, b._upper, yes._upper, no._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Twice<T> value) => T.Sum(value._lower + value._upper);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Twice<T> value) => T.Largest(T.Max(value._lower, value._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> PowerOfTwo(Twice<T> shifted) => new(T.PowerOfTwo(shifted._lower), T.PowerOfTwo(shifted._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> And(Twice<T> value, uint mask) => new(T.And(value._lower, mask), T.And(value._upper, mask));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> Or(Twice<T> a, Twice<T> b) => new(T.Or(a._lower, b._lower), T.Or(a._upper, b._upper));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Twice<T> ShiftRightAndAdd(Twice<T> value, int count, uint addend) =>
        new(T.ShiftRightAndAdd(value._lower, count, addend), T.ShiftRightAndAdd(value._upper, count, addend));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadWords(byte* source, out Twice<T> low, out Twice<T> high)
    {
        T.LoadWords(source, out T low0, out T high0);
        T.LoadWords(source + (4 * T.Lanes), out T low1, out T high1);
        low = new Twice<T>(low0, low1);
        high = new Twice<T>(high0, high1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadBytes(byte* source, out Twice<T> low0, out Twice<T> high0, out Twice<T> low1, out Twice<T> high1)
    {
        T.LoadBytes(source, out T a, out T b, out T c, out T d);
        T.LoadBytes(source + (4 * T.Lanes), out T e, out T f, out T g, out T h);
        low0 = new Twice<T>(a, e);
        high0 = new Twice<T>(b, f);
        low1 = new Twice<T>(c, g);
        high1 = new Twice<T>(d, h);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadE4M3(byte* source, out Twice<T> low0, out Twice<T> high0, out Twice<T> low1, out Twice<T> high1)
    {
        T.LoadE4M3(source, out T a, out T b, out T c, out T d);
        T.LoadE4M3(source + (4 * T.Lanes), out T e, out T f, out T g, out T h);
        low0 = new Twice<T>(a, e);
        high0 = new Twice<T>(b, f);
        low1 = new Twice<T>(c, g);
        high1 = new Twice<T>(d, h);
    }
}
