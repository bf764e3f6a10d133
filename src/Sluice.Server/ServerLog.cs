using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Sluice.Engine;
using Sluice.Server.Chat;

namespace Sluice.Server;

/// <summary>Everything the server logs. No prompt, answer or key; of an unexpected error its type and place, not its message.</summary>
internal static partial class ServerLog
{
    /// <summary>Notes what each answer to a request took.</summary>
    public static void Finished(this ILogger log, HttpContext context, AnswerSet answers)
    {
        foreach (AnswerStream answer in answers.Answers)
        {
            GenerationUsage usage = answer.End.Text.Usage;
            log.Finished(
                context.TraceIdentifier,
                context.Request.Path,
                usage.PromptTokens,
                usage.OutputTokens,
                answer.End.FinishReason,
                usage.QueueTime.TotalMilliseconds,
                usage.PrefillTime.TotalMilliseconds,
                usage.DecodeTime.TotalMilliseconds);
        }
    }

    [LoggerMessage(1, LogLevel.Information, "serving {Model} at {Address}")]
    public static partial void Serving(this ILogger log, string model, string address);

    [LoggerMessage(2, LogLevel.Information, "{RequestId} {Path}: {PromptTokens} prompt + {OutputTokens} output tokens, {Reason}; queued {QueueMs:F0} ms, prefill {PrefillMs:F0} ms, decode {DecodeMs:F0} ms")]
    public static partial void Finished(
        this ILogger log, string requestId, string path, int promptTokens, int outputTokens, string reason, double queueMs, double prefillMs, double decodeMs);

    [LoggerMessage(3, LogLevel.Information, "{RequestId} {Path}: the client left")]
    public static partial void ClientLeft(this ILogger log, string requestId, string path);

    [LoggerMessage(4, LogLevel.Debug, "{RequestId} {Path}: refused, {Status} {Code} {Parameter}")]
    public static partial void Refused(this ILogger log, string requestId, string path, int status, string? code, string? parameter);

    [LoggerMessage(5, LogLevel.Warning, "{RequestId} {Path}: the engine failed it, {Failure}")]
    public static partial void EngineFailed(this ILogger log, string requestId, string path, string failure);

    [LoggerMessage(6, LogLevel.Error, "{RequestId} {Path}: unexpected {ErrorType}\n{Trace}")]
    public static partial void Unexpected(this ILogger log, string requestId, string path, string errorType, string? trace);
}
