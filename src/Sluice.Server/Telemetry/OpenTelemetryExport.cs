using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;
using Sluice.Engine.Telemetry;

namespace Sluice.Server.Telemetry;

/// <summary>
/// Sends spans and metrics to a collector over OTLP, if one is configured: by <see cref="ServerOptions.OtlpEndpoint"/>, or by
/// OpenTelemetry's own <c>OTEL_EXPORTER_OTLP_ENDPOINT</c>. Its other variables (<c>OTEL_SERVICE_NAME</c>,
/// <c>OTEL_EXPORTER_OTLP_HEADERS</c>, ...) apply too.
/// </summary>
internal static class OpenTelemetryExport
{
    private const string EndpointVariable = "OTEL_EXPORTER_OTLP_ENDPOINT";

    public static void Add(WebApplicationBuilder builder, ServerOptions options)
    {
        if (options.OtlpEndpoint is null && string.IsNullOrEmpty(builder.Configuration[EndpointVariable]))
            return;
        builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource.AddService("sluice", serviceVersion: typeof(SluiceServer).Assembly.GetName().Version?.ToString()).AddEnvironmentVariableDetector())
            .WithTracing(tracing => tracing
                .AddSource(GenerationTrace.SourceName, GenerationTrace.RequestSourceName)
                .AddOtlpExporter(Configure))
            .WithMetrics(metrics => metrics
                .AddMeter(ServerMeters.MeterName, EngineMeters.MeterName, "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel", "System.Runtime")
                .AddOtlpExporter(Configure));

        void Configure(OtlpExporterOptions exporter)
        {
            // An endpoint that is set counts as complete, one from the environment gets the signal's path: so set only what is ours.
            if (options.OtlpEndpoint is { } endpoint)
                exporter.Endpoint = endpoint;
        }
    }
}
