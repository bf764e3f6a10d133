using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Sluice.Engine;
using Sluice.Engine.Sampling;
using Sluice.Engine.Text;
using Sluice.Server;
using Sluice.Text;

namespace Sluice.Cli.Bench;

/// <summary>One run of the load, through HTTP or in process.</summary>
/// <param name="Tokens">Tokens of all answers.</param>
/// <param name="Seconds">From the first request to the last answer's end.</param>
/// <param name="CpuSeconds">Of all threads of the process, the model's, the server's and the client's.</param>
/// <param name="FirstTokenSeconds">For each request, from before it was made to its first token, as its reader sees it.</param>
/// <param name="BeyondSeconds">Of that, what the engine did not take: neither queue nor prefill, by its own clock.</param>
/// <param name="GapSeconds">For each request, a token after the first, as its reader sees it.</param>
internal sealed record ServerRun(int Tokens, double Seconds, double CpuSeconds, double[] FirstTokenSeconds, double[] BeyondSeconds, double[] GapSeconds);

/// <summary>
/// What HTTP costs beyond the engine: the same requests to a server of this process over loopback, as streamed chat completions, and to
/// its engine directly. The client shares the machine, so its cost is in the figures too.
/// </summary>
internal sealed class ServerBench : IAsyncDisposable
{
    // People do not ask in step with the model: without a pause every request would come just when all streams have had a token.
    private const int LongestPauseMs = 20;

    private readonly ServedModel _model;
    private readonly WebApplication _app;
    private readonly EngineTimesLog _log;
    private readonly IPEndPoint _address;
    private readonly string _bans;

    private ServerBench(ServedModel model, WebApplication app, EngineTimesLog log)
    {
        _model = model;
        _app = app;
        _log = log;
        var url = new Uri(app.Urls.First());
        _address = new IPEndPoint(IPAddress.Parse(url.Host), url.Port);

        // An answer is as long as its request says: the end of text never comes.
        _bans = string.Join(',', model.Generator.EndOfText.Select(static token => string.Create(CultureInfo.InvariantCulture, $"\"{token}\":-100")));
    }

    public static async Task<ServerBench> StartAsync(ServedModel model, CancellationToken cancellation)
    {
        var log = new EngineTimesLog();
        WebApplication app = SluiceServer.Build(new ServerOptions { Port = 0 }, model, builder =>
        {
            builder.Logging.ClearProviders();
            builder.Logging.Services.AddSingleton<ILoggerProvider>(log);
        });
        await app.StartAsync(cancellation);
        return new ServerBench(model, app, log);
    }

    /// <summary>Runs <paramref name="requests"/> requests, <paramref name="streams"/> at a time.</summary>
    /// <param name="throughHttp">Through the server, or to the engine.</param>
    /// <param name="streams">Requests at a time.</param>
    /// <param name="requests">Requests.</param>
    /// <param name="outputTokens">Tokens of an answer on average: they are from half to one and a half times as long, so that they do not all end together.</param>
    /// <param name="cancellation">Ends it early.</param>
    public async Task<ServerRun> RunAsync(bool throughHttp, int streams, int requests, int outputTokens, CancellationToken cancellation)
    {
        _ = await _model.Generator.Engine.ClearCacheAsync(cancellation);
        _log.Times.Clear();
        var random = new Random(1);
        int[] lengths = [.. Enumerable.Range(0, requests).Select(_ => Math.Max(2, random.Next(outputTokens / 2, outputTokens + (outputTokens / 2) + 1)))];
        int[] pauses = [.. Enumerable.Range(0, requests).Select(_ => random.Next(LongestPauseMs + 1))];
        var timings = new Timing[requests];
        int next = -1;
        TimeSpan cpu = Environment.CpuUsage.TotalTime;
        long start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, streams).Select(_ => throughHttp
            ? Task.Factory.StartNew(AskServer, cancellation, TaskCreationOptions.LongRunning, TaskScheduler.Default)
            : Task.Run(AskEngineAsync, cancellation)));
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        double cpuSeconds = (Environment.CpuUsage.TotalTime - cpu).TotalSeconds;
        for (int i = 0; i < requests; i++)
        {
            if (timings[i].Id is { } id)
                timings[i] = timings[i] with { Engine = await _log.TakeAsync(id, cancellation) };
        }

        return new ServerRun(
            lengths.Sum(), seconds, cpuSeconds, [.. timings.Select(t => t.First)], [.. timings.Select(t => t.First - t.Engine)], [.. timings.Select((t, i) => (t.Last - t.First) / (lengths[i] - 1))]);

        void AskServer()
        {
            using var client = EventStreamClient.Connect(_address);
            for (int i = Interlocked.Increment(ref next); i < requests; i = Interlocked.Increment(ref next))
            {
                Thread.Sleep(pauses[i]);
                timings[i] = Ask(client, Question(i), lengths[i]);
            }
        }

        async Task AskEngineAsync()
        {
            for (int i = Interlocked.Increment(ref next); i < requests; i = Interlocked.Increment(ref next))
            {
                await Task.Delay(pauses[i], cancellation);
                timings[i] = await AskAsync(Question(i), lengths[i], cancellation);
            }
        }

        static string Question(int i) => string.Create(CultureInfo.InvariantCulture, $"What is {i} + {i * 7}?");
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private Timing Ask(EventStreamClient client, string question, int tokens)
    {
        string body = $$"""{"model":"{{_model.Id}}","messages":[{"role":"user","content":"{{question}}"}],"temperature":0,"max_tokens":{{tokens}},"logit_bias":{{{_bans}}},"stream":true}""";
        long start = Stopwatch.GetTimestamp();
        (string id, long first, long last) = client.Post("/v1/chat/completions", body);
        return new Timing(Stopwatch.GetElapsedTime(start, first).TotalSeconds, Stopwatch.GetElapsedTime(start, last).TotalSeconds, 0, id);
    }

    private async Task<Timing> AskAsync(string question, int tokens, CancellationToken cancellation)
    {
        // The prompt is made beforehand: to make it is the server's work.
        var messages = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = question });
        int[] prompt = _model.Generator.Tokenizer.Encode(_model.Chat!.Render(new JsonObject { ["messages"] = messages, ["add_generation_prompt"] = true }, TimeProvider.System, cancellation));
        var request = new TextRequest
        {
            Prompt = prompt,
            MaxTokens = tokens,
            Structure = PromptStructure.Find(prompt, _model.Generator.Tokenizer),
            Sampling = SamplingOptions.Greedy with { LogitBias = [.. _model.Generator.EndOfText.Select(static token => new LogitBias(token, -100))] },
        };
        long start = Stopwatch.GetTimestamp(), first = 0;
        await using TextStream text = _model.Generator.Generate(request, cancellation);
        await foreach (TextDelta _ in text.WithCancellation(cancellation))
            first = first == 0 ? Stopwatch.GetTimestamp() : first;
        long last = Stopwatch.GetTimestamp();
        GenerationUsage usage = text.Completion.Usage;
        return new Timing(
            Stopwatch.GetElapsedTime(start, first).TotalSeconds, Stopwatch.GetElapsedTime(start, last).TotalSeconds, (usage.QueueTime + usage.PrefillTime).TotalSeconds, null);
    }

    /// <summary>One request, seconds since it was made: its first and its last token, and the engine's time to the first. The id of one through HTTP.</summary>
    private readonly record struct Timing(double First, double Last, double Engine, string? Id);

    /// <summary>Takes the engine's time of each request out of the server's own log.</summary>
    private sealed class EngineTimesLog : ILoggerProvider, ILogger
    {
        public ConcurrentDictionary<string, double> Times { get; } = new(StringComparer.Ordinal);

        /// <summary>The engine's seconds to a request's first token. A request is told of when it has ended, maybe after its client knows.</summary>
        public async Task<double> TakeAsync(string id, CancellationToken cancellation)
        {
            double seconds;
            while (!Times.TryRemove(id, out seconds))
                await Task.Delay(1, cancellation);
            return seconds;
        }

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (state is not IReadOnlyList<KeyValuePair<string, object?>> fields || fields.FirstOrDefault(f => f.Key == "PrefillMs").Value is not double prefill)
                return;
            double queue = (double)fields.First(f => f.Key == "QueueMs").Value!;
            Times[(string)fields.First(f => f.Key == "RequestId").Value!] = (queue + prefill) / 1e3;
        }

        public void Dispose()
        {
        }
    }
}
