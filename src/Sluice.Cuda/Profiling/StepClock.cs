using Sluice.Cuda.Driver;

namespace Sluice.Cuda.Profiling;

/// <summary>Adds up how long the card computes steps, without the copies and the waiting between them.</summary>
internal sealed class StepClock : IDisposable
{
    private readonly CudaEvent _start = new(isTimed: true);
    private readonly CudaEvent _end = new(isTimed: true);
    private bool _isPending;
    private double _microseconds;

    /// <summary>All steps but one that may still run.</summary>
    public (long Steps, TimeSpan Time) Total { get; private set; }

    /// <summary>A step's batch has been sent. The step before it must have ended by now, as is so where each step's results are waited for.</summary>
    public void Begin(CudaStream stream)
    {
        if (_isPending)
        {
            _end.Wait();
            _microseconds += _end.MicrosecondsSince(_start);
            Total = (Total.Steps + 1, TimeSpan.FromMicroseconds(_microseconds));
        }

        _start.Record(stream);
        _isPending = true;
    }

    /// <summary>All of it has been queued.</summary>
    public void End(CudaStream stream) => _end.Record(stream);

    /// <inheritdoc/>
    public void Dispose()
    {
        _start.Dispose();
        _end.Dispose();
    }
}
