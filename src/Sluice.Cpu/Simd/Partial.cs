using System.Runtime.CompilerServices;

namespace Sluice.Cpu.Simd;

/// <summary>The end of a row that does not fill a register: it takes the same path as the rest, through a buffer.</summary>
internal static unsafe class Partial
{
    /// <summary>Loads <paramref name="count"/> lanes; the others are zero.</summary>
    [SkipLocalsInit]
    public static T Load<T>(float* source, int count)
        where T : unmanaged, ISimd<T>
    {
        float* buffer = stackalloc float[T.Lanes];
        T.Store(T.Zero, buffer);
        for (int i = 0; i < count; i++)
            buffer[i] = source[i];
        return T.Load(buffer);
    }

    /// <summary>Stores the first <paramref name="count"/> lanes.</summary>
    [SkipLocalsInit]
    public static void Store<T>(T value, float* destination, int count)
        where T : unmanaged, ISimd<T>
    {
        float* buffer = stackalloc float[T.Lanes];
        T.Store(value, buffer);
        for (int i = 0; i < count; i++)
            destination[i] = buffer[i];
    }
}
