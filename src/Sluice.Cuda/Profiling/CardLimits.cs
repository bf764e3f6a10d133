using Sluice.Cuda.Blas;
using Sluice.Cuda.Driver;

namespace Sluice.Cuda.Profiling;

/// <summary>What the card can do, measured: the best that anything else can come near.</summary>
/// <param name="BytesPerSecond">Of a large copy, reads and writes counted.</param>
/// <param name="FlopsPerSecond">Of a large product in bfloat16.</param>
public sealed record CardLimits(double BytesPerSecond, double FlopsPerSecond)
{
    private const long CopyBytes = 1L << 30;
    private const int Side = 8192;
    private const int Repeats = 10;

    /// <summary>The least time for so much work, seconds.</summary>
    public double Floor(double bytes, double flops) => Math.Max(bytes / BytesPerSecond, flops / FlopsPerSecond);

    internal static CardLimits Measure(CudaStream stream, MatrixProducts products)
    {
        using DeviceMemory from = new(CopyBytes, "measuring the card");
        using DeviceMemory to = new(CopyBytes, "measuring the card");
        FillRandomly(from, stream);
        double copy = CardTimer.Median(stream, Repeats, () => CudaStatus.Check(DriverApi.CopyOnDevice(to.Address, from.Address, (nuint)CopyBytes, stream.Handle), "a copy"));
        ulong half = from.Address + ((ulong)Side * Side * 2);
        double product = CardTimer.Median(stream, Repeats, () => products.Multiply(stream, from.Address, Side, half, Side, Side, to.Address, Side, isFloat: false, Side));
        return new CardLimits(2.0 * CopyBytes / copy * 1e6, 2.0 * Side * Side * Side / product * 1e6);
    }

    // Numbers of about 1 with random bits: products of zeros run faster than any real ones.
    private static unsafe void FillRandomly(DeviceMemory memory, CudaStream stream)
    {
        using PinnedMemory random = new(4 << 20);
        Random source = new(1);
        ushort* values = (ushort*)random.Address;
        for (long i = 0; i < random.Bytes / 2; i++)
            values[i] = (ushort)(0x3f00 | (source.Next() & 0x80ff));
        for (long offset = 0; offset < memory.Bytes; offset += random.Bytes)
            CudaStatus.Check(DriverApi.CopyToDevice(memory.Address + (ulong)offset, random.Address, (nuint)random.Bytes, stream.Handle), "filling memory");
        stream.Synchronise("filling memory");
    }
}
