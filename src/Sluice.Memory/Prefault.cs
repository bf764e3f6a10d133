namespace Sluice.Memory;

/// <summary>
/// Makes native memory resident a little ahead of its use. The first write to a page waits for the system to find and clear it, on a virtual
/// machine at about 1 GB/s; here that happens beside whatever runs, and memory that nobody comes near still costs nothing.
/// On systems other than Linux 5.14 and newer nothing happens, and first writes wait as before.
/// </summary>
public sealed unsafe class Prefault : IDisposable
{
    // Small enough that Dispose never waits long.
    private const long Portion = 8L << 20;

    private readonly Lock _lock = new();
    private readonly byte* _start;
    private readonly long _bytes;
    private readonly long _ahead;
    private readonly TimeSpan _pause;
    private Timer? _timer;
    private bool _isPausing;
    private long _resident;
    private long _wanted;
    private bool _isRunning;
    private bool _isDisposed;

    /// <summary>Watches over memory that comes from an <see cref="Arena"/> and is used from the start upwards.</summary>
    /// <param name="start">First byte.</param>
    /// <param name="bytes">Bytes.</param>
    /// <param name="ahead">Bytes to keep ready beyond what has been used; three quarters of them at least.</param>
    /// <param name="pause">How long after its first use to begin: whoever uses it first has better things for a core to do.</param>
    public Prefault(byte* start, long bytes, long ahead, TimeSpan pause = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        ArgumentOutOfRangeException.ThrowIfNegative(ahead);
        _start = start;
        _bytes = bytes;
        _ahead = ahead;
        _pause = pause;
    }

    /// <summary>Bytes made resident so far, from the start.</summary>
    public long ResidentBytes
    {
        get
        {
            lock (_lock)
                return _resident;
        }
    }

    /// <summary>Says that everything below <paramref name="offset"/> is or is about to be in use. Costs nothing when that is not news.</summary>
    public void Reached(long offset)
    {
        if (offset <= Volatile.Read(ref _wanted) - (_ahead - (_ahead / 4)))
            return;
        lock (_lock)
        {
            // All of it once a quarter is used up, so that one round serves many small steps.
            _wanted = Math.Min(_bytes, Math.Max(_wanted, checked(offset + _ahead)));
            if (_timer is null && _pause > TimeSpan.Zero && !_isDisposed)
            {
                _isPausing = true;
                _timer = new Timer(static self => ((Prefault)self!).EndPause(), this, _pause, Timeout.InfiniteTimeSpan);
            }

            Begin();
        }
    }

    /// <summary>Stops, and returns once nothing touches the memory any more.</summary>
    public void Dispose()
    {
        SpinWait wait = default;
        while (true)
        {
            lock (_lock)
            {
                _isDisposed = true;
                _timer?.Dispose();
                if (!_isRunning)
                    return;
            }

            wait.SpinOnce();
        }
    }

    private void EndPause()
    {
        lock (_lock)
        {
            _isPausing = false;
            Begin();
        }
    }

    /// <summary>Begins to make ready what is wanted, under the lock.</summary>
    private void Begin()
    {
        if (_isRunning || _isPausing || _isDisposed || _resident >= _wanted || !OperatingSystem.IsLinux())
            return;
        _isRunning = true;
        _ = ThreadPool.UnsafeQueueUserWorkItem(static self => self.Run(), this, preferLocal: false);
    }

    private void Run()
    {
        while (true)
        {
            long from, length;
            lock (_lock)
            {
                from = _resident;
                length = Math.Min(Portion, _wanted - from);
                if (length <= 0 || _isDisposed)
                {
                    _isRunning = false;
                    return;
                }
            }

            // Leaves what is there as it is, so others may be writing meanwhile. A refusal (an older system) only costs speed.
            long page = Environment.SystemPageSize;
            byte* first = (byte*)((nuint)(_start + from) & ~(nuint)(page - 1));
            bool isRefused = Posix.Advise(first, (nuint)(_start + from + length - first), Posix.AdvisePopulateWrite) != 0;
            lock (_lock)
                _resident = isRefused ? _bytes : from + length;
        }
    }
}
