using System.Collections.Concurrent;
using Sluice.Core;
using Sluice.Cuda.Driver;

namespace Sluice.Cuda.Memory;

/// <summary>
/// Takes stored matrices to the card as bfloat16, from many threads at once: each converts rows into pinned memory of its own and copies
/// them through a stream of its own while it converts the next.
/// </summary>
internal sealed unsafe class WeightUpload(CudaDevice device) : IDisposable
{
    private const int StagingBytes = 8 << 20;

    private readonly ConcurrentBag<Lane> _lanes = [];

    /// <summary>Copies rows to <paramref name="destination"/>, [rows, columns] of bfloat16.</summary>
    public void Copy(MatrixSource source, ulong destination)
    {
        device.MakeCurrent();
        Lane lane = _lanes.TryTake(out Lane? free) ? free : new Lane();
        int rowBytes = checked(source.Columns * 2);
        int most = Math.Max(1, StagingBytes / 2 / rowBytes);
        BFloat16Rows converted = new(source);
        for (int first = 0; first < source.Rows; first += most)
        {
            int rows = Math.Min(most, source.Rows - first);
            ushort* to = (ushort*)lane.Next((long)rows * rowBytes);
            for (int row = 0; row < rows; row++)
                converted.Read(first + row, new Span<ushort>(to + ((long)row * source.Columns), source.Columns));
            lane.Send(destination + ((ulong)first * (ulong)rowBytes), (long)rows * rowBytes);
        }

        lane.Finish();
        _lanes.Add(lane);
    }

    /// <summary>Copies bytes as they are.</summary>
    public void Copy(ReadOnlySpan<byte> bytes, ulong destination)
    {
        device.MakeCurrent();
        Lane lane = _lanes.TryTake(out Lane? free) ? free : new Lane();
        for (int first = 0; first < bytes.Length; first += StagingBytes / 2)
        {
            ReadOnlySpan<byte> part = bytes[first..Math.Min(bytes.Length, first + (StagingBytes / 2))];
            part.CopyTo(new Span<byte>(lane.Next(part.Length), part.Length));
            lane.Send(destination + (ulong)first, part.Length);
        }

        lane.Finish();
        _lanes.Add(lane);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        while (_lanes.TryTake(out Lane? lane))
            lane.Dispose();
    }

    /// <summary>Two halves of pinned memory that take turns.</summary>
    private sealed class Lane : IDisposable
    {
        private readonly PinnedMemory _staging = new(StagingBytes);
        private readonly CudaStream _stream = new();
        private readonly CudaEvent[] _sent = [new(), new()];
        private byte* _current;
        private int _half;

        public byte* Next(long bytes)
        {
            if (bytes > StagingBytes / 2)
                throw new BackendException($"a row of {bytes} bytes does not fit the staging memory of {StagingBytes / 2}");
            _sent[_half].Wait();
            return _current = _staging.Address + (_half * (StagingBytes / 2));
        }

        public void Send(ulong destination, long bytes)
        {
            CudaStatus.Check(DriverApi.CopyToDevice(destination, _current, (nuint)bytes, _stream.Handle), "copying weights");
            _sent[_half].Record(_stream);
            _half ^= 1;
        }

        public void Finish() => _stream.Synchronise("copying weights");

        public void Dispose()
        {
            _sent[0].Dispose();
            _sent[1].Dispose();
            _stream.Dispose();
            _staging.Dispose();
        }
    }
}
