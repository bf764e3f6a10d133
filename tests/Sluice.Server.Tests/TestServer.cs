using System.Collections.Concurrent;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Sluice.Engine;
using Sluice.Engine.Sampling;
using Sluice.Engine.Text;
using Sluice.Testing;
using Sluice.Text;

namespace Sluice.Server.Tests;

/// <summary>A whole server on a free port of 127.0.0.1, with the echo model behind it.</summary>
internal sealed class TestServer : IAsyncDisposable, ILoggerProvider
{
    public const string ModelId = "echo";

    private TestServer(FakeModel model, InferenceEngine engine)
    {
        Model = model;
        Engine = engine;
    }

    public FakeModel Model { get; }

    public InferenceEngine Engine { get; }

    public WebApplication App { get; private set; } = null!;

    public HttpClient Http { get; } = new();

    /// <summary>Every line logged.</summary>
    public ConcurrentQueue<string> Log { get; } = [];

    public Uri Address => Http.BaseAddress!;

    public static async Task<TestServer> StartAsync(
        ServerOptions? options = null,
        FakeModel? model = null,
        EngineOptions? engineOptions = null,
        SamplingOptions? defaults = null,
        ChatTemplate? template = null,
        string? key = null,
        EarlyListener? listener = null)
    {
        model ??= EchoModel.Create();
        var server = new TestServer(model, new InferenceEngine(model, engineOptions ?? new EngineOptions { DrainTimeout = TimeSpan.FromSeconds(5) }));
        var served = new ServedModel
        {
            Id = ModelId,
            Generator = new TextGenerator(server.Engine, EchoModel.Tokenizer, [EchoModel.EndOfText, 4096]),
            Chat = template ?? EchoModel.Template,
            Defaults = defaults ?? new SamplingOptions { Temperature = 0.7f, TopK = 20, TopP = 0.8f },
        };
        server.App = SluiceServer.Build(
            (options ?? new ServerOptions()) with { Port = 0 },
            served,
            builder =>
            {
                builder.Logging.ClearProviders();
                builder.Logging.SetMinimumLevel(LogLevel.Trace);
                builder.Logging.Services.AddSingleton<ILoggerProvider>(server);
            },
            listener: listener);
        await server.App.StartAsync();
        server.Http.BaseAddress = new Uri(server.App.Urls.Single());
        if (key is not null)
            server.Http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        return server;
    }

    public async Task<(HttpResponseMessage Response, JsonNode Body)> PostAsync(string path, string json)
    {
        using var content = new StringContent(json, Encoding.UTF8, "application/json");
        HttpResponseMessage response = await Http.PostAsync(new Uri(path, UriKind.Relative), content);
        return (response, JsonNode.Parse(await response.Content.ReadAsStringAsync())!);
    }

    public async Task<JsonNode> ChatAsync(string message, string more = "")
    {
        var (response, body) = await PostAsync("/v1/chat/completions", ChatBody(message, more));
        Assert.True(response.IsSuccessStatusCode, body.ToJsonString());
        return body;
    }

    /// <summary>Gets, and returns the whole text.</summary>
    public async Task<(int Status, string Text)> GetAsync(string path)
    {
        using HttpResponseMessage response = await Http.GetAsync(new Uri(path, UriKind.Relative));
        return ((int)response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    /// <summary>Waits until a line of the log has these words; what is told of a request is told when it has ended, maybe after its client knows.</summary>
    public async Task<string> LoggedAsync(params string[] words)
    {
        for (int waited = 0; ; waited += 10)
        {
            if (Log.FirstOrDefault(line => words.All(word => line.Contains(word, StringComparison.Ordinal))) is { } found)
                return found;
            Assert.True(waited < 5000, $"not logged: {string.Join(" ... ", words)}\n{string.Join('\n', Log)}");
            await Task.Delay(10);
        }
    }

    /// <summary>Posts and returns as soon as the headers are here.</summary>
    public async Task<HttpResponseMessage> OpenAsync(string path, string json, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path);
        request.Content = new StringContent(json, Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
        return await Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
    }

    public static string ChatBody(string message, string more = "") =>
        $$"""{"model":"{{ModelId}}","messages":[{"role":"user","content":{{JsonValue.Create(message).ToJsonString()}}}]{{(more.Length > 0 ? "," : "")}}{{more}}}""";

    /// <summary>Waits until nothing runs and all memory is back.</summary>
    public async Task AssertIdleAsync(int withinMs = 5000)
    {
        for (int waited = 0; ; waited += 10)
        {
            EngineStatus status = Engine.Status;
            if (status is { Running: 0, Waiting: 0, Cache: { SequencePages: 0, SequenceSlots: 0 } })
                return;
            Assert.True(waited < withinMs, $"still busy: {status}");
            await Task.Delay(10);
        }
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await App.DisposeAsync();
        await Engine.DisposeAsync();
        Model.Dispose();
    }

    ILogger ILoggerProvider.CreateLogger(string categoryName) => new QueueLogger(categoryName, Log);

    void IDisposable.Dispose()
    {
    }

    private sealed class QueueLogger(string category, ConcurrentQueue<string> log) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            log.Enqueue($"{logLevel} {category} {formatter(state, exception)} {exception}");
    }
}
