using Microsoft.AspNetCore.Http;
using Sluice.Engine;
using Sluice.Engine.Text;
using Sluice.Server.Chat;

namespace Sluice.Server.Telemetry;

/// <summary>
/// What becomes of one request, gathered while it runs for its line in the log, the metrics and its span. A feature of the
/// <see cref="HttpContext"/>; an endpoint that generates reports each text that ends to it.
/// </summary>
internal sealed class RequestReport
{
    private readonly Lock _lock = new();

    /// <summary>Whose request it is.</summary>
    public string Client { get; set; } = Access.ClientIdentity.Anonymous.Name;

    /// <summary>How it ended: a finish reason, the code of an error, or <c>ok</c>.</summary>
    public string Outcome { get; private set; } = "ok";

    /// <summary>The error's code, if it ended with one.</summary>
    public string? Error { get; private set; }

    /// <summary>Whether the client was gone before the end.</summary>
    public bool HasClientLeft { get; private set; }

    /// <summary>What the texts took together; null when none has ended.</summary>
    public GenerationUsage? Usage { get; private set; }

    /// <summary>What is known of this request.</summary>
    public static RequestReport Of(HttpContext context) =>
        context.Features.Get<RequestReport>() ?? throw new InvalidOperationException("the request has no report: RequestLog must come first");

    /// <summary>All answers have ended.</summary>
    public void Finished(AnswerSet answers)
    {
        foreach (AnswerStream answer in answers.Answers)
            Finished(answer.End.Text);
    }

    /// <summary>A text has ended. May be called from several threads, once for each text.</summary>
    public void Finished(TextCompletion completion)
    {
        lock (_lock)
        {
            GenerationUsage usage = completion.Usage;
            Usage = Usage is null
                ? usage
                : new GenerationUsage(
                    Usage.PromptTokens, // several answers have one prompt
                    Usage.OutputTokens + usage.OutputTokens,
                    Longer(Usage.QueueTime, usage.QueueTime),
                    Longer(Usage.PrefillTime, usage.PrefillTime),
                    Longer(Usage.DecodeTime, usage.DecodeTime))
                {
                    Prefix = Usage.Prefix,
                };
            Outcome = completion.Reason switch
            {
                FinishReason.Stop => "stop",
                FinishReason.Length => "length",
                FinishReason.Cancelled => "cancelled",
                _ => "failed",
            };
        }
    }

    /// <summary>The request has failed or was refused.</summary>
    public void Failed(string code) => Outcome = Error = code;

    /// <summary>The client went away, or was let go, before its answer was whole.</summary>
    public void ClientLeft()
    {
        HasClientLeft = true;
        if (Error is null)
            Failed("client_left");
    }

    private static TimeSpan Longer(TimeSpan a, TimeSpan b) => a > b ? a : b;
}
