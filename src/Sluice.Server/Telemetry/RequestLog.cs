using System.Diagnostics;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.Extensions.Logging;
using Sluice.Server.Http;

namespace Sluice.Server.Telemetry;

/// <summary>Around every request: gives it an id, and tells of its end in one line of the log, in the metrics, and in its span.</summary>
internal sealed class RequestLog
{
    private const string RequestIdHeader = "x-request-id";

    private readonly ServerMeters _meters;
    private readonly GenerationTrace _trace;
    private readonly TimeProvider _clock;
    private readonly ILogger _log;

    public RequestLog(ServerMeters meters, GenerationTrace trace, TimeProvider clock, ILogger log)
    {
        _meters = meters;
        _trace = trace;
        _clock = clock;
        _log = log;
    }

    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        context.TraceIdentifier = $"req-{Guid.NewGuid():N}";
        context.Response.Headers[RequestIdHeader] = context.TraceIdentifier;
        var report = new RequestReport();
        context.Features.Set(report);
        GenerationOperation? operation = context.GetEndpoint()?.Metadata.GetMetadata<GenerationOperation>();
        GenerationTrace.NameRequest(Activity.Current, context);
        using Activity? span = operation is null ? null : _trace.Start(operation);
        long start = _clock.GetTimestamp();
        try
        {
            await next(context);
        }
        finally
        {
            TimeSpan elapsed = _clock.GetElapsedTime(start);
            _meters.Ended(report, operation, elapsed);
            _trace.Finish(span, report);
            Write(context, report, elapsed);
        }
    }

    private void Write(HttpContext context, RequestReport report, TimeSpan elapsed)
    {
        string id = context.TraceIdentifier, method = Routes.MethodOf(context.Request), route = Routes.TemplateOf(context);

        // nginx's status for a client that left before it had any answer.
        int status = report.HasClientLeft && !context.Response.HasStarted ? StatusCodes.Status499ClientClosedRequest : context.Response.StatusCode;
        if (report.Usage is { } usage)
        {
            _log.Generated(
                id, report.Client, method, route, status, elapsed.TotalMilliseconds, report.Outcome,
                usage.PromptTokens, usage.CachedTokens, usage.OutputTokens, usage.QueueTime.TotalMilliseconds, usage.PrefillTime.TotalMilliseconds, usage.DecodeTime.TotalMilliseconds);
            return;
        }

        // Probes and scrapes would drown everything else.
        bool isRoutine = status < 400 && context.GetEndpoint()?.Metadata.GetMetadata<DisableRateLimitingAttribute>() is not null;
        _log.Answered(isRoutine ? LogLevel.Debug : LogLevel.Information, id, report.Client, method, route, status, elapsed.TotalMilliseconds, report.Outcome);
    }
}
