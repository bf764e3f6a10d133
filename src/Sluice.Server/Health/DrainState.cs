using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Sluice.Server.Health;

/// <summary>
/// The beginning of the end: on SIGTERM the server stops being ready at once but goes on listening for
/// <see cref="ServerOptions.DrainDelay"/>, so that a balancer notices before connections are refused. Then Kestrel drains.
/// </summary>
internal sealed class DrainState : IHostedLifecycleService
{
    private readonly ServerOptions _options;
    private readonly TimeProvider _clock;
    private readonly ILogger _log;
    private volatile bool _isDraining;

    public DrainState(ServerOptions options, TimeProvider clock, IHostApplicationLifetime lifetime, ILogger log)
    {
        _options = options;
        _clock = clock;
        _log = log;
        lifetime.ApplicationStopping.Register(() => _isDraining = true);
    }

    public bool IsDraining => _isDraining;

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        _isDraining = true;
        _log.Draining(_options.DrainDelay, _options.ShutdownTimeout);
        if (_options.DrainDelay > TimeSpan.Zero)
            await Task.Delay(_options.DrainDelay, _clock, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
