using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Sluice.Core;
using Sluice.Server.Access;
using Sluice.Server.Anthropic;
using Sluice.Server.Chat;
using Sluice.Server.Debug;
using Sluice.Server.Documentation;
using Sluice.Server.Health;
using Sluice.Server.Http;
using Sluice.Server.Ollama;
using Sluice.Server.OpenAI;
using Sluice.Server.Page;
using Sluice.Server.Responses;
using Sluice.Server.Telemetry;
using Sluice.Server.Tokens;

namespace Sluice.Server;

/// <summary>
/// The HTTP server: OpenAI's chat completions, completions and models, tokens, health checks, metrics, and a description of it all. Build
/// it, run it, and dispose of the engine after it: a stopping server (SIGTERM, Ctrl-C) is not ready any more, takes no more connections
/// after <see cref="ServerOptions.DrainDelay"/>, and lets the requests it has finish first.
/// </summary>
public static class SluiceServer
{
    private const int MaxHeaderBytes = 32 << 10;
    private const int MaxHeaders = 100;
    private const int MaxResponseBuffer = 64 << 10;
    private static readonly TimeSpan RateGrace = TimeSpan.FromSeconds(5);

    /// <summary>Builds a server for <paramref name="model"/>; the caller starts it.</summary>
    /// <param name="options">Where to listen and whom to let in.</param>
    /// <param name="model">What to serve.</param>
    /// <param name="configure">Further configuration, of logging for example.</param>
    /// <param name="clock">The clock; the system's by default.</param>
    /// <param name="listener">What listens already, with the same options, and answers until this server is started; the caller disposes of it afterwards.</param>
    public static WebApplication Build(
        ServerOptions options, ServedModel model, Action<WebApplicationBuilder>? configure = null, TimeProvider? clock = null, EarlyListener? listener = null)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        Listen(builder, options);
        if (listener is not null)
            builder.Services.AddSingleton(listener.Server);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = options.DrainDelay + options.ShutdownTimeout);
        AddServices(builder.Services, options, model, clock ?? TimeProvider.System);
        OpenTelemetryExport.Add(builder, options);

        // What these say is said better by ServerLog, and Kestrel reports every stream that is broken off on purpose as an error.
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
        builder.Logging.AddFilter("Microsoft.AspNetCore.Server.Kestrel", LogLevel.Critical);
        builder.Logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "yyyy-MM-dd'T'HH:mm:ss.fff'Z' ";
            console.UseUtcTimestamp = true;
        });
        configure?.Invoke(builder);

        WebApplication app = builder.Build();
        ILogger log = Log(app.Services);
        Use(app, options, log);
        var chat = new ChatService(model, app.Services.GetRequiredService<TimeProvider>());
        MapOpenAI(app, chat, options);
        MapResponses(app, chat, options);
        MapAnthropic(app, chat, options);
        MapOllama(app, chat, options);
        MapTokens(app);
        app.MapDebug(model.Generator.Engine);
        MapHealth(app);
        MapMetrics(app, options);
        app.MapApiDescription(options);
        app.MapPage();
        app.Lifetime.ApplicationStarted.Register(() => log.Serving(model.Id, string.Join(' ', app.Urls)));
        return app;
    }

    /// <summary>Where and how to listen.</summary>
    internal static void Listen(WebApplicationBuilder builder, ServerOptions options)
    {
        builder.WebHost.ConfigureKestrel(kestrel => Configure(kestrel, options));

        // A flush writes to its socket itself, instead of standing in line behind the work of all other streams: a first token comes up to
        // a millisecond sooner at 64 of them. Nothing of ours blocks, and the runtime's own I/O thread runs none of it either way.
        builder.WebHost.UseSockets(static sockets => sockets.UnsafePreferInlineScheduling = true);
    }

    private static void Configure(KestrelServerOptions kestrel, ServerOptions options)
    {
        kestrel.AddServerHeader = false;
        KestrelServerLimits limits = kestrel.Limits;
        limits.MaxRequestBodySize = options.MaxBodyBytes;
        limits.MaxRequestHeadersTotalSize = MaxHeaderBytes;
        limits.MaxRequestHeaderCount = MaxHeaders;
        limits.MaxResponseBufferSize = MaxResponseBuffer;
        limits.MaxConcurrentConnections = options.MaxConnections;
        limits.RequestHeadersTimeout = options.HeaderTimeout;
        limits.KeepAliveTimeout = options.IdleTimeout;
        limits.MinRequestBodyDataRate = new MinDataRate(options.MinBytesPerSecond, RateGrace);
        limits.MinResponseDataRate = new MinDataRate(options.MinBytesPerSecond, RateGrace);
        kestrel.Listen(options.Address, options.Port, listen => listen.Protocols = HttpProtocols.Http1);
    }

    private static void AddServices(IServiceCollection services, ServerOptions options, ServedModel model, TimeProvider clock)
    {
        services.AddSingleton(options);
        services.AddSingleton(model);
        services.AddSingleton(model.Generator.Engine);
        services.AddSingleton(clock);
        services.AddSingleton(_ => new KeyRing(options.ApiKeys));
        services.AddSingleton(_ => new ServerMeters(model.Id));
        services.AddSingleton(_ => new GenerationTrace(model.Id));
        services.AddSingleton<MetricsEndpoint>();
        services.AddSingleton<SelfCheck>();
        services.AddSingleton<HealthEndpoints>();
        services.AddSingleton<TokensEndpoints>();
        services.AddSingleton(s => new DrainState(options, clock, s.GetRequiredService<IHostApplicationLifetime>(), Log(s)));
        services.AddSingleton(s => new ProgressWatch(model.Generator.Engine, options.StallTimeout, clock, Log(s)));
        services.AddHostedService(s => s.GetRequiredService<DrainState>());
        services.AddHostedService(s => s.GetRequiredService<ProgressWatch>());
        services.AddApiDescription(options);
        if (options.CorsOrigins.Count > 0)
            services.AddCors();
    }

    /// <summary>What every request goes through, in this order. Routing comes first of all, so each knows the endpoint.</summary>
    private static void Use(WebApplication app, ServerOptions options, ILogger log)
    {
        var requests = new RequestLog(
            app.Services.GetRequiredService<ServerMeters>(), app.Services.GetRequiredService<GenerationTrace>(),
            app.Services.GetRequiredService<TimeProvider>(), log);
        var errors = new ErrorHandling(log);
        var hosts = new HostGuard(options);
        var access = new AccessControl(app.Services.GetRequiredService<KeyRing>());
        app.Use(next => context => requests.InvokeAsync(context, next));
        app.Use(next => context => errors.InvokeAsync(context, next));
        if (hosts.IsNeeded)
            app.Use(next => context => hosts.InvokeAsync(context, next));
        if (options.CorsOrigins.Count > 0)
            app.UseCors(cors => cors.WithOrigins([.. options.CorsOrigins]).AllowAnyHeader().AllowAnyMethod().WithExposedHeaders("x-request-id", "Retry-After"));
        app.Use(next => context => access.InvokeAsync(context, next));
    }

    private static void MapOpenAI(WebApplication app, ChatService service, ServerOptions options)
    {
        var models = new ModelsEndpoint(service.Model, service.Clock);
        RequestDelegate chat = new ChatCompletionsEndpoint(service, options).HandleAsync;
        RequestDelegate completions = new CompletionsEndpoint(service, options).HandleAsync;
        app.MapGet("/v1/models", models.ListAsync).DisableRateLimiting()
            .Describe(models.ListAsync, new Described("Lists the model", "Models", Answer: typeof(ModelList)));
        app.MapGet("/v1/models/{**id}", models.RetrieveAsync).DisableRateLimiting()
            .Describe(models.RetrieveAsync, new Described("Retrieves the model", "Models", Answer: typeof(ModelEntry)));
        app.MapPost("/v1/chat/completions", chat).Generates(GenerationOperation.Chat)
            .Describe(chat, new Described("Answers a chat", "Generation", typeof(ChatBody), typeof(ChatCompletion), Streams: true));
        app.MapPost("/v1/completions", completions).Generates(GenerationOperation.TextCompletion)
            .Describe(completions, new Described("Continues a text", "Generation", typeof(CompletionBody), typeof(CompletionResponse), Streams: true));
        RequestDelegate embeddings = static _ => throw new RequestException("there are no embeddings here: the model writes text", null, "not_found");
        app.MapPost("/v1/embeddings", embeddings)
            .Describe(embeddings, new Described("Says that there are no embeddings", "Generation", typeof(EmbeddingsBody)));
    }

    private static void MapResponses(WebApplication app, ChatService chat, ServerOptions options)
    {
        var responses = new ResponsesEndpoint(chat, new ResponseStore(chat.Clock), options);
        app.MapPost("/v1/responses", responses.CreateAsync).Generates(GenerationOperation.Chat)
            .Describe(responses.CreateAsync, new Described("Answers input, and keeps the answer", "Responses", typeof(ResponseBody), typeof(Response), Streams: true));
        app.MapGet("/v1/responses/{id}", responses.RetrieveAsync).DisableRateLimiting()
            .Describe(responses.RetrieveAsync, new Described("Retrieves a response that is kept", "Responses", Answer: typeof(Response)));
        app.MapDelete("/v1/responses/{id}", responses.DeleteAsync).DisableRateLimiting()
            .Describe(responses.DeleteAsync, new Described("Forgets a response", "Responses", Answer: typeof(DeletedResponse)));
        app.MapGet("/v1/responses/{id}/input_items", responses.ListInputAsync).DisableRateLimiting()
            .Describe(responses.ListInputAsync, new Described("Lists what a response answers", "Responses", Answer: typeof(ResponseItemList)));
    }

    private static void MapAnthropic(WebApplication app, ChatService chat, ServerOptions options)
    {
        var messages = new MessagesEndpoint(chat, options);
        app.MapPost("/v1/messages", messages.HandleAsync).Generates(GenerationOperation.Chat)
            .Describe(messages.HandleAsync, new Described("Answers a chat, as Anthropic's API does", "Anthropic", typeof(MessagesBody), typeof(Message), Streams: true));
        app.MapPost("/v1/messages/count_tokens", messages.CountAsync)
            .Describe(messages.CountAsync, new Described("Counts a chat's tokens", "Anthropic", typeof(MessagesCountBody), typeof(TokenCount)));
    }

    private static void MapOllama(WebApplication app, ChatService chat, ServerOptions options)
    {
        var answers = new OllamaEndpoint(chat, options);
        app.MapPost("/api/chat", answers.ChatAsync).Generates(GenerationOperation.Chat)
            .Describe(answers.ChatAsync, new Described("Answers a chat, as Ollama does", "Ollama", typeof(OllamaChatBody), typeof(OllamaAnswer)));
        app.MapPost("/api/generate", answers.GenerateAsync).Generates(GenerationOperation.Chat)
            .Describe(answers.GenerateAsync, new Described("Answers a prompt, as Ollama does", "Ollama", typeof(OllamaGenerateBody), typeof(OllamaAnswer)));
        var models = new OllamaModelsEndpoint(chat);
        app.MapGet("/api/tags", models.TagsAsync).DisableRateLimiting()
            .Describe(models.TagsAsync, new Described("Lists the model", "Ollama", Answer: typeof(OllamaModelList)));
        app.MapGet("/api/ps", models.TagsAsync).DisableRateLimiting()
            .Describe(models.TagsAsync, new Described("Lists the model, which is loaded", "Ollama", Answer: typeof(OllamaModelList)));
        app.MapPost("/api/show", models.ShowAsync).DisableRateLimiting()
            .Describe(models.ShowAsync, new Described("Tells about the model", "Ollama", typeof(OllamaShowBody), typeof(OllamaModelShow)));
        app.MapGet("/api/version", models.VersionAsync).DisableRateLimiting()
            .Describe(models.VersionAsync, new Described("Tells the API's version", "Ollama", Answer: typeof(OllamaVersion)));
    }

    private static void MapTokens(WebApplication app)
    {
        TokensEndpoints tokens = app.Services.GetRequiredService<TokensEndpoints>();
        app.MapPost("/tokenize", tokens.TokenizeAsync)
            .Describe(tokens.TokenizeAsync, new Described("Turns a text or a chat into tokens", "Tokens", typeof(TokenizeBody), typeof(Tokenized)));
        app.MapPost("/detokenize", tokens.DetokenizeAsync)
            .Describe(tokens.DetokenizeAsync, new Described("Turns tokens into a text", "Tokens", typeof(DetokenizeBody), typeof(Detokenized)));
    }

    /// <summary>What balancers ask needs no key, and says no more than a word.</summary>
    private static void MapHealth(WebApplication app)
    {
        HealthEndpoints health = app.Services.GetRequiredService<HealthEndpoints>();
        app.MapGet("/health/live", HealthEndpoints.LiveAsync).DisableRateLimiting().AllowAnonymous()
            .Describe(HealthEndpoints.LiveAsync, new Described("Whether the process is alive", "Operation", Answer: typeof(HealthAnswer)));
        app.MapGet("/health/ready", health.ReadyAsync).DisableRateLimiting().AllowAnonymous()
            .Describe(health.ReadyAsync, new Described("Whether requests would be served", "Operation", Answer: typeof(HealthAnswer)));
        app.MapGet("/health", health.StatusAsync).DisableRateLimiting()
            .Describe(health.StatusAsync, new Described("Whether requests would be served, and how many are", "Operation", Answer: typeof(HealthAnswer)));
    }

    private static void MapMetrics(WebApplication app, ServerOptions options)
    {
        MetricsEndpoint metrics = app.Services.GetRequiredService<MetricsEndpoint>();
        IEndpointConventionBuilder route = app.MapGet("/metrics", metrics.HandleAsync).DisableRateLimiting()
            .Describe(metrics.HandleAsync, new Described("Metrics as Prometheus text", "Operation"));
        if (options.PublicMetrics)
            route.AllowAnonymous();
    }

    private static ILogger Log(IServiceProvider services) => services.GetRequiredService<ILoggerFactory>().CreateLogger("Sluice.Server");
}
