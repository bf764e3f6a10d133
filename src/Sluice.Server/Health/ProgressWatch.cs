using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Sluice.Engine;

namespace Sluice.Server.Health;

/// <summary>Looks at the engine once a second: while there is work, steps must be completed.</summary>
internal sealed class ProgressWatch : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly InferenceEngine _engine;
    private readonly TimeProvider _clock;
    private readonly TimeSpan _patience;
    private readonly ILogger _log;
    private long _steps = -1;
    private long _progressed;
    private volatile bool _isStalled;

    public ProgressWatch(InferenceEngine engine, TimeSpan patience, TimeProvider clock, ILogger log)
    {
        _engine = engine;
        _patience = patience;
        _clock = clock;
        _log = log;
        _progressed = clock.GetTimestamp();
    }

    /// <summary>Whether there has been work for long without a step.</summary>
    public bool IsStalled => _isStalled;

    /// <summary>Takes a look.</summary>
    internal void Look()
    {
        EngineStatus status = _engine.Status;
        long now = _clock.GetTimestamp();
        if (status.Steps != _steps || status.Running + status.Waiting == 0)
        {
            _steps = status.Steps;
            _progressed = now;
        }

        TimeSpan since = _clock.GetElapsedTime(_progressed, now);
        bool isStalled = since > _patience;
        if (isStalled && !_isStalled)
            _log.Stalled(since.TotalSeconds, status.Running, status.Waiting);
        _isStalled = isStalled;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, _clock);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
                Look();
        }
        catch (OperationCanceledException)
        {
            // The server stops.
        }
    }
}
