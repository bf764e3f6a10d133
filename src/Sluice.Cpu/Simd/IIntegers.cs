namespace Sluice.Cpu.Simd;

/// <summary>
/// A register of integers, as wide as <typeparamref name="TFloat"/>, seen as lanes of 32 bits or, where a name says so, words of 16. Integer arithmetic is exact, so
/// kernels over it have the same bits at every width.
/// </summary>
internal unsafe interface IIntegers<TSelf, TFloat>
    where TSelf : unmanaged, IIntegers<TSelf, TFloat>
    where TFloat : unmanaged, ISimd<TFloat>
{
    /// <summary>Bytes of the register.</summary>
    static abstract int Bytes { get; }

    static abstract TSelf Broadcast(uint value);

    /// <summary>Broadcasts 32 bits from memory.</summary>
    static abstract TSelf BroadcastAt(void* source);

    static abstract TSelf Load(void* source);

    static abstract void Store(TSelf value, void* destination);

    /// <summary>Loads bytes without a sign as words.</summary>
    static abstract TSelf LoadBytesAsWords(byte* source);

    /// <summary>Loads words into the upper halves of lanes.</summary>
    static abstract TSelf LoadWordsAsUpperHalves(ushort* source);

    /// <summary>Sums of lanes.</summary>
    static abstract TSelf operator +(TSelf a, TSelf b);

    static abstract TSelf operator &(TSelf a, TSelf b);

    static abstract TSelf operator |(TSelf a, TSelf b);

    static abstract TSelf operator ^(TSelf a, TSelf b);

    /// <summary>Words moved up, zeros following.</summary>
    static abstract TSelf ShiftWordsUp(TSelf value, int count);

    /// <summary>Words moved down, zeros following.</summary>
    static abstract TSelf ShiftWordsDown(TSelf value, int count);

    /// <summary>Words moved down, their signs following.</summary>
    static abstract TSelf ShiftSignedWordsDown(TSelf value, int count);

    /// <summary>Products of words with a sign, those of a lane added.</summary>
    static abstract TSelf MultiplyWords(TSelf a, TSelf b);

    /// <summary>The same bits as float32.</summary>
    static abstract TFloat AsFloat(TSelf value);

    /// <summary>Lanes converted, exactly up to 2^24.</summary>
    static abstract TFloat ConvertToFloat(TSelf value);
}
