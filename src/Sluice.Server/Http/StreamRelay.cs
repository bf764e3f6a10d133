using Microsoft.AspNetCore.Http;
using Sluice.Server.OpenAI;

namespace Sluice.Server.Http;

/// <summary>How one API streams: what it sends in silence, and how it tells an error.</summary>
internal interface IEventStream
{
    /// <summary>Says nothing, to keep the connection open.</summary>
    Task KeepAliveAsync();

    /// <summary>Tells an error as the last event.</summary>
    Task FailAsync(ErrorDetail error, int status);
}

/// <summary>
/// Passes on what is generated as it comes. An error can no longer change the status, so it becomes a last event, and then the
/// connection breaks off: clients that overlook the event would otherwise take a cut answer for a whole one.
/// </summary>
internal static class StreamRelay
{
    public static async Task RunAsync<T>(
        HttpContext context, TimeSpan keepAlive, IEventStream events, IAsyncEnumerable<T> parts, Func<T, Task> write, Func<Task> finish)
    {
        try
        {
            // The headers need not wait for the first token.
            await context.Response.StartAsync(context.RequestAborted);
            await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
            await ForEachAsync(events, keepAlive, parts, write);
            await finish();
        }
        catch (Exception e) when (!context.RequestAborted.IsCancellationRequested)
        {
            var (status, body) = ErrorResponses.Of(e);
            await events.FailAsync(body.Error, status);
            throw;
        }
    }

    private static async Task ForEachAsync<T>(IEventStream events, TimeSpan keepAlive, IAsyncEnumerable<T> parts, Func<T, Task> write)
    {
        using var timer = new PeriodicTimer(keepAlive);
        Task<bool> tick = timer.WaitForNextTickAsync().AsTask();
        IAsyncEnumerator<T> enumerator = parts.GetAsyncEnumerator();
        Task<bool> next = Task.FromResult(false);
        try
        {
            while (true)
            {
                next = enumerator.MoveNextAsync().AsTask();
                while (!next.IsCompleted && await Task.WhenAny(next, tick) == tick)
                {
                    await events.KeepAliveAsync();
                    tick = timer.WaitForNextTickAsync().AsTask();
                }

                if (!await next)
                    return;
                await write(enumerator.Current);
            }
        }
        finally
        {
            // An enumerator must not be disposed of while it moves, as it does when a keep-alive could not be written.
            await next.ContinueWith(static _ => { }, TaskScheduler.Default);
            await enumerator.DisposeAsync();
        }
    }
}
