using Microsoft.Extensions.Logging;

namespace Sluice.Server;

/// <summary>
/// Everything the server logs: one line for each request, and one more for what went wrong in it. No prompt, answer or key, and nothing
/// a client wrote: routes are told by their template, unexpected errors by their type and place.
/// </summary>
internal static partial class ServerLog
{
    [LoggerMessage(1, LogLevel.Information, "serving {Model} at {Address}")]
    public static partial void Serving(this ILogger log, string model, string address);

    [LoggerMessage(2, LogLevel.Information, "{RequestId} {Client} {Method} {Route} {Status} in {ElapsedMs:F0} ms, {Outcome}: {PromptTokens} prompt ({CachedTokens} cached) + {OutputTokens} output tokens; queued {QueueMs:F0} ms, prefill {PrefillMs:F0} ms, decode {DecodeMs:F0} ms")]
    public static partial void Generated(
        this ILogger log, string requestId, string client, string method, string route, int status, double elapsedMs, string outcome,
        int promptTokens, int cachedTokens, int outputTokens, double queueMs, double prefillMs, double decodeMs);

    [LoggerMessage(EventId = 3, Message = "{RequestId} {Client} {Method} {Route} {Status} in {ElapsedMs:F0} ms, {Outcome}")]
    public static partial void Answered(
        this ILogger log, LogLevel level, string requestId, string client, string method, string route, int status, double elapsedMs, string outcome);

    [LoggerMessage(4, LogLevel.Debug, "{RequestId} {Route}: refused, {Status} {Code} {Parameter}")]
    public static partial void Refused(this ILogger log, string requestId, string route, int status, string? code, string? parameter);

    [LoggerMessage(5, LogLevel.Warning, "{RequestId} {Route}: the engine failed it, {Failure}")]
    public static partial void EngineFailed(this ILogger log, string requestId, string route, string failure);

    [LoggerMessage(6, LogLevel.Error, "{RequestId} {Route}: unexpected {ErrorType}\n{Trace}")]
    public static partial void Unexpected(this ILogger log, string requestId, string route, string errorType, string? trace);

    [LoggerMessage(7, LogLevel.Information, "stopping: not ready from now on, listening for {Delay} more, then requests have {Timeout} to finish")]
    public static partial void Draining(this ILogger log, TimeSpan delay, TimeSpan timeout);

    [LoggerMessage(8, LogLevel.Warning, "no step was completed for {Seconds:F0} s although there is work: {Running} running, {Waiting} waiting")]
    public static partial void Stalled(this ILogger log, double seconds, int running, int waiting);
}
