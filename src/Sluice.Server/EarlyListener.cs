using System.Collections.Concurrent;
using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Sluice.Server.Health;
using Sluice.Server.OpenAI;

namespace Sluice.Server;

/// <summary>
/// The server's socket before there is a model: it takes connections while weights load, says that the process lives and is not ready, with how far the load
/// has come, and answers everything else with 503. <see cref="SluiceServer.Build"/> takes it over with its connections: none is refused or broken off.
/// </summary>
/// <remarks>
/// A web application of its own, whose server lives on: when another application is started on it, requests that begin from then on are that one's.
/// </remarks>
public sealed class EarlyListener : IAsyncDisposable
{
    private readonly WebApplication _app;
    private double _loaded;

    private EarlyListener(ServerOptions options)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        SluiceServer.Listen(builder, options);
        builder.Logging.ClearProviders();

        // The host must not think that signals are for it: they end the load, or the server that comes.
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        Type kestrel = builder.Services.Last(service => service.ServiceType == typeof(IServer)).ImplementationType!;
        builder.Services.AddSingleton<IServer>(services => new SharedServer((IServer)ActivatorUtilities.CreateInstance(services, kestrel)));
        _app = builder.Build();
        _app.Run(AnswerAsync);
    }

    /// <summary>How much of the model is loaded, from 0 to 1; from any thread.</summary>
    public double Loaded
    {
        get => Volatile.Read(ref _loaded);
        set => Volatile.Write(ref _loaded, Math.Clamp(value, 0, 1));
    }

    /// <summary>Where it listens.</summary>
    public ICollection<string> Urls => _app.Urls;

    /// <summary>What listens.</summary>
    internal IServer Server => _app.Services.GetRequiredService<IServer>();

    /// <summary>Begins to listen.</summary>
    /// <exception cref="IOException">The address or port is taken.</exception>
    public static async Task<EarlyListener> StartAsync(ServerOptions options, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        EarlyListener listener = new(options);
        try
        {
            await listener._app.StartAsync(cancellation);
            return listener;
        }
        catch
        {
            await listener.DisposeAsync();
            throw;
        }
    }

    /// <summary>Closes the socket, if the server that took it over has not done so already.</summary>
    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private Task AnswerAsync(HttpContext context)
    {
        context.Response.Headers.CacheControl = "no-store";
        if (context.Request.Path == "/health/live")
            return HealthEndpoints.LiveAsync(context);
        context.Response.Headers.RetryAfter = "1";
        if (context.Request.Path == "/health/ready" || context.Request.Path == "/health")
        {
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            return context.Response.WriteAsJsonAsync(new HealthAnswer("loading") { Loaded = Math.Round(Loaded, 3) }, HealthJson.Default.HealthAnswer);
        }

        string message = string.Create(CultureInfo.InvariantCulture, $"the model is being loaded, {Math.Floor(Loaded * 100)} % of it is here");
        return ErrorResponses.WriteAsync(
            context, StatusCodes.Status503ServiceUnavailable, new ErrorBody(new ErrorDetail(message, "server_error") { Code = "loading" }));
    }

    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    /// <summary>The real server behind one that applications can be exchanged of. Both have contexts of the host's one kind, which connections keep and re-use.</summary>
    private sealed class SharedServer(IServer inner) : IServer
    {
        private object? _exchange;

        public IFeatureCollection Features => inner.Features;

        public Task StartAsync<TContext>(IHttpApplication<TContext> application, CancellationToken cancellationToken)
            where TContext : notnull
        {
            if (_exchange is null)
            {
                Exchange<TContext> first = new(application);
                _exchange = first;
                return inner.StartAsync(first, cancellationToken);
            }

            if (_exchange is not Exchange<TContext> running)
                throw new InvalidOperationException($"expected an application with contexts of the first one's type, found {typeof(TContext)}");
            running.Continue(application);
            return Task.CompletedTask;
        }

        public Task StopAsync(CancellationToken cancellationToken) => inner.StopAsync(cancellationToken);

        public void Dispose() => inner.Dispose();
    }

    /// <summary>Whichever application began a request also ends it.</summary>
    private sealed class Exchange<TContext> : IHttpApplication<TContext>
        where TContext : notnull
    {
        private readonly IHttpApplication<TContext> _first;
        private readonly ConcurrentDictionary<object, bool> _ofFirst = new(ReferenceEqualityComparer.Instance);
        private volatile IHttpApplication<TContext> _now;
        private int _open;

        public Exchange(IHttpApplication<TContext> first) => _first = _now = first;

        public void Continue(IHttpApplication<TContext> application) => _now = application;

        public TContext CreateContext(IFeatureCollection contextFeatures)
        {
            IHttpApplication<TContext> application = _now;
            TContext context = application.CreateContext(contextFeatures);
            if (ReferenceEquals(application, _first))
            {
                _ofFirst[context] = true;
                Interlocked.Increment(ref _open);
            }

            return context;
        }

        public Task ProcessRequestAsync(TContext context) => Of(context).ProcessRequestAsync(context);

        public void DisposeContext(TContext context, Exception? exception)
        {
            IHttpApplication<TContext> application = Of(context);
            application.DisposeContext(context, exception);
            if (ReferenceEquals(application, _first) && _ofFirst.TryRemove(context, out _))
                Interlocked.Decrement(ref _open);
        }

        private IHttpApplication<TContext> Of(TContext context) => Volatile.Read(ref _open) != 0 && _ofFirst.ContainsKey(context) ? _first : _now;
    }
}
