using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Sluice.Core;
using Sluice.Engine;
using Sluice.Engine.Text;
using Sluice.Server.Http;
using Sluice.Server.Telemetry;

namespace Sluice.Server.OpenAI;

/// <summary>Passes a generated text on to the client: whole, or delta by delta.</summary>
internal sealed class TextRelay
{
    private readonly HttpContext _context;
    private readonly TextStream _text;
    private readonly ILogger _log;

    public TextRelay(HttpContext context, TextStream text, ILogger log)
    {
        _context = context;
        _text = text;
        _log = log;
    }

    /// <summary>Waits for all of the text.</summary>
    public async Task<(string Text, IReadOnlyList<TextToken> Tokens, TextCompletion Completion)> CollectAsync()
    {
        var text = new StringBuilder();
        var tokens = new List<TextToken>();
        await foreach (TextDelta delta in _text)
        {
            text.Append(delta.Text);
            tokens.AddRange(delta.Tokens);
        }

        return (text.ToString(), tokens, Completion());
    }

    /// <summary>
    /// Streams: <paramref name="write"/> gets each delta as it comes, <paramref name="finish"/> the end. An error can no longer change
    /// the status, so it becomes a last event and then the connection breaks off: clients that overlook the event would otherwise
    /// take a cut answer for a whole one.
    /// </summary>
    public async Task StreamAsync(SseWriter events, TimeSpan keepAlive, Func<TextDelta, Task> write, Func<TextCompletion, Task> finish)
    {
        try
        {
            await ForEachAsync(events, keepAlive, write);
            await finish(Completion());
            await events.WriteDoneAsync();
        }
        catch (Exception e) when (!_context.RequestAborted.IsCancellationRequested)
        {
            await events.WriteAsync(ErrorResponses.Of(e).Body, OpenAIJson.Readable.ErrorBody);
            throw;
        }
    }

    /// <summary>Notes what a request took.</summary>
    public void Log(TextCompletion completion) => RequestReport.Of(_context).Finished(completion);

    /// <summary>The API's word for how a text ended.</summary>
    public static string FinishReasonOf(TextCompletion completion) => completion.Reason == FinishReason.Length ? "length" : "stop";

    private async Task ForEachAsync(SseWriter events, TimeSpan keepAlive, Func<TextDelta, Task> write)
    {
        using var timer = new PeriodicTimer(keepAlive);
        Task<bool> tick = timer.WaitForNextTickAsync().AsTask();
        IAsyncEnumerator<TextDelta> deltas = _text.GetAsyncEnumerator();
        Task<bool> next = Task.FromResult(false);
        try
        {
            while (true)
            {
                next = deltas.MoveNextAsync().AsTask();
                while (!next.IsCompleted && await Task.WhenAny(next, tick) == tick)
                {
                    await events.WriteKeepAliveAsync();
                    tick = timer.WaitForNextTickAsync().AsTask();
                }

                if (!await next)
                    return;
                await write(deltas.Current);
            }
        }
        finally
        {
            // An enumerator must not be disposed of while it moves, as it does when a keep-alive could not be written.
            await next.ContinueWith(static _ => { }, TaskScheduler.Default);
            await deltas.DisposeAsync();
        }
    }

    private TextCompletion Completion()
    {
        TextCompletion completion = _text.Completion;
        if (completion.Reason != FinishReason.Cancelled)
            return completion;
        _context.RequestAborted.ThrowIfCancellationRequested();
        throw new EngineException(EngineFailure.ShuttingDown, "the server is stopping and has cut this answer short");
    }
}
