using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http;
using Sluice.Engine;

namespace Sluice.Server;

/// <summary><c>GET /health</c>: 200 while requests are taken, 503 while the server drains or the engine has failed.</summary>
internal sealed class HealthEndpoint
{
    private readonly InferenceEngine _engine;
    private readonly CancellationToken _stopping;

    public HealthEndpoint(InferenceEngine engine, CancellationToken stopping)
    {
        _engine = engine;
        _stopping = stopping;
    }

    public Task HandleAsync(HttpContext context)
    {
        EngineStatus status = _engine.Status;
        bool isHealthy = status.Accepting && !_stopping.IsCancellationRequested;
        context.Response.StatusCode = isHealthy ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        context.Response.Headers.CacheControl = "no-store";
        return context.Response.WriteAsJsonAsync(
            new Health(isHealthy ? "ok" : "unavailable", status.Running, status.Waiting), HealthJson.Default.Health);
    }
}

/// <summary>What <c>/health</c> says.</summary>
internal sealed record Health(string Status, int Running, int Waiting);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(Health))]
internal sealed partial class HealthJson : JsonSerializerContext;
