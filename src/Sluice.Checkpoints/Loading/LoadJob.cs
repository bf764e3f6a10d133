namespace Sluice.Checkpoints.Loading;

/// <summary>A piece of loading that runs on one worker. Sources report to it the bytes they read on that worker's thread.</summary>
internal sealed class LoadJob(string what, long bytes, Action load)
{
    [ThreadStatic]
    private static LoadJob? _current;

    private long _read;
    private volatile bool _stopped;

    internal string What => what;

    internal long Bytes => bytes;

    /// <summary>Bytes to show: what was read, never more than was announced, all of it in the end.</summary>
    internal long Progress => Math.Min(Volatile.Read(ref _read), bytes);

    /// <summary>Called by sources for each row; throws when the load has been given up.</summary>
    internal static void CountRead(int bytes)
    {
        if (_current is not { } job)
            return;

        // Only this thread writes; others only look.
        Volatile.Write(ref job._read, job._read + bytes);
        if (job._stopped)
            throw new OperationCanceledException("the load was given up");
    }

    internal void Run()
    {
        _current = this;
        try
        {
            load();
            Volatile.Write(ref _read, bytes);
        }
        finally
        {
            _current = null;
        }
    }

    /// <summary>Makes the job give up at its next row.</summary>
    internal void Stop() => _stopped = true;
}
