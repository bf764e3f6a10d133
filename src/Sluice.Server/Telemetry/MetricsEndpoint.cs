using System.Diagnostics.Metrics;
using Microsoft.AspNetCore.Http;
using Sluice.Engine;
using Sluice.Server.Telemetry.Prometheus;

namespace Sluice.Server.Telemetry;

/// <summary><c>GET /metrics</c>: everything this server, its engine, ASP.NET Core and the runtime measure, as Prometheus text.</summary>
internal sealed class MetricsEndpoint : IDisposable
{
    private readonly MetricCollector _collector;

    /// <summary>Begins to collect; of several servers in a process each collects its own.</summary>
    public MetricsEndpoint(ServerMeters server, InferenceEngine engine, IMeterFactory web)
    {
        Meter own = server.Meter, engines = engine.Meters.Meter;
        _collector = new MetricCollector(meter =>
            ReferenceEquals(meter, own)
            || ReferenceEquals(meter, engines)
            || meter.Name == "System.Runtime"
            || (ReferenceEquals(meter.Scope, web) && (meter.Name is "Microsoft.AspNetCore.Hosting" or "Microsoft.AspNetCore.Server.Kestrel")));
    }

    public Task HandleAsync(HttpContext context)
    {
        context.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
        context.Response.Headers.CacheControl = "no-store";
        return context.Response.WriteAsync(_collector.Write());
    }

    public void Dispose() => _collector.Dispose();
}
