using Microsoft.AspNetCore.Http;
using Sluice.Engine;

namespace Sluice.Server.Health;

/// <summary>
/// <c>GET /health/live</c>: the process answers. <c>GET /health/ready</c>: a request sent here now would be served, and work that is there
/// makes progress. <c>GET /health</c>: the same as ready, with figures.
/// </summary>
internal sealed class HealthEndpoints
{
    private readonly InferenceEngine _engine;
    private readonly DrainState _drain;
    private readonly ProgressWatch _progress;
    private readonly SelfCheck _selfCheck;

    public HealthEndpoints(InferenceEngine engine, DrainState drain, ProgressWatch progress, SelfCheck selfCheck)
    {
        _engine = engine;
        _drain = drain;
        _progress = progress;
        _selfCheck = selfCheck;
    }

    public static Task LiveAsync(HttpContext context) => WriteAsync(context, isWell: true, new HealthAnswer("alive"));

    /// <summary>One word, for balancers that have no key: nothing that would tell a stranger how busy the server is.</summary>
    public async Task ReadyAsync(HttpContext context)
    {
        string state = await StateAsync();
        await WriteAsync(context, state == "ready", new HealthAnswer(state));
    }

    public async Task StatusAsync(HttpContext context)
    {
        string state = await StateAsync();
        EngineStatus status = _engine.Status;
        await WriteAsync(context, state == "ready", new HealthAnswer(state == "ready" ? "ok" : state) { Running = status.Running, Waiting = status.Waiting });
    }

    private async Task<string> StateAsync()
    {
        if (_drain.IsDraining)
            return "draining";
        if (!_engine.Status.Accepting)
            return "unavailable";
        return !_progress.IsStalled && await _selfCheck.PassesAsync() ? "ready" : "stalled";
    }

    private static Task WriteAsync(HttpContext context, bool isWell, HealthAnswer health)
    {
        context.Response.StatusCode = isWell ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        context.Response.Headers.CacheControl = "no-store";
        return context.Response.WriteAsJsonAsync(health, HealthJson.Default.HealthAnswer);
    }
}
