using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Sluice.Core;
using Sluice.Server.Anthropic;
using Sluice.Server.Chat;
using Sluice.Server.Debug;
using Sluice.Server.Http;
using Sluice.Server.Ollama;
using Sluice.Server.OpenAI;
using Sluice.Server.Responses;

namespace Sluice.Server;

/// <summary>
/// The HTTP server: OpenAI's chat completions, completions and models, and a health check. Build it, run it, and dispose of the
/// engine after it: a stopping server (SIGTERM, Ctrl-C) takes no more connections and lets the requests it has finish first.
/// </summary>
public static class SluiceServer
{
    /// <summary>Builds a server for <paramref name="model"/>; the caller starts it.</summary>
    /// <param name="options">Where to listen.</param>
    /// <param name="model">What to serve.</param>
    /// <param name="configure">Further configuration, of logging for example.</param>
    /// <param name="clock">The clock; the system's by default.</param>
    public static WebApplication Build(
        ServerOptions options, ServedModel model, Action<WebApplicationBuilder>? configure = null, TimeProvider? clock = null)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.ConfigureKestrel(kestrel => Configure(kestrel, options));
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = options.ShutdownTimeout);

        // What these say is said better by ServerLog, and Kestrel reports every stream that is broken off on purpose as an error.
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
        builder.Logging.AddFilter("Microsoft.AspNetCore.Server.Kestrel", LogLevel.Critical);
        configure?.Invoke(builder);

        WebApplication app = builder.Build();
        Map(app, options, model, clock ?? TimeProvider.System);
        return app;
    }

    private static void Configure(KestrelServerOptions kestrel, ServerOptions options)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = options.MaxBodyBytes;
        kestrel.Listen(options.Address, options.Port);
    }

    private static void Map(WebApplication app, ServerOptions options, ServedModel model, TimeProvider clock)
    {
        ILogger log = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Sluice.Server");
        app.Use(next => context => new ErrorHandling(log).InvokeAsync(context, next));

        var chat = new ChatService(model, clock);
        MapOpenAI(app, chat, options, log);
        MapResponses(app, chat, options, log);
        MapAnthropic(app, chat, options, log);
        MapOllama(app, chat, options, log);
        app.MapGet("/health", new HealthEndpoint(model.Generator.Engine, app.Lifetime.ApplicationStopping).HandleAsync);
        app.MapDebug(model.Generator.Engine);
        app.Lifetime.ApplicationStarted.Register(() => log.Serving(model.Id, string.Join(' ', app.Urls)));
    }

    private static void MapOpenAI(WebApplication app, ChatService chat, ServerOptions options, ILogger log)
    {
        var models = new ModelsEndpoint(chat.Model, chat.Clock);
        app.MapGet("/v1/models", models.ListAsync);
        app.MapGet("/v1/models/{**id}", models.RetrieveAsync);
        app.MapPost("/v1/chat/completions", new ChatCompletionsEndpoint(chat, options, log).HandleAsync);
        app.MapPost("/v1/completions", new CompletionsEndpoint(chat, options, log).HandleAsync);
        app.MapPost("/v1/embeddings", static Task (HttpContext _) => throw new RequestException("there are no embeddings here: the model writes text", null, "not_found"));
    }

    private static void MapResponses(WebApplication app, ChatService chat, ServerOptions options, ILogger log)
    {
        var responses = new ResponsesEndpoint(chat, new ResponseStore(chat.Clock), options, log);
        app.MapPost("/v1/responses", responses.CreateAsync);
        app.MapGet("/v1/responses/{id}", responses.RetrieveAsync);
        app.MapDelete("/v1/responses/{id}", responses.DeleteAsync);
        app.MapGet("/v1/responses/{id}/input_items", responses.ListInputAsync);
    }

    private static void MapAnthropic(WebApplication app, ChatService chat, ServerOptions options, ILogger log)
    {
        var messages = new MessagesEndpoint(chat, options, log);
        app.MapPost("/v1/messages", messages.HandleAsync);
        app.MapPost("/v1/messages/count_tokens", messages.CountAsync);
    }

    private static void MapOllama(WebApplication app, ChatService chat, ServerOptions options, ILogger log)
    {
        var answers = new OllamaEndpoint(chat, options, log);
        app.MapPost("/api/chat", answers.ChatAsync);
        app.MapPost("/api/generate", answers.GenerateAsync);
        var models = new OllamaModelsEndpoint(chat);
        app.MapGet("/api/tags", models.TagsAsync);
        app.MapGet("/api/ps", models.TagsAsync);
        app.MapPost("/api/show", models.ShowAsync);
        app.MapGet("/api/version", models.VersionAsync);
    }
}
