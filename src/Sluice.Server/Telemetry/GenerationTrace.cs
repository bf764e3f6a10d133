using System.Diagnostics;
using Microsoft.AspNetCore.Http;
using Sluice.Server.Http;

namespace Sluice.Server.Telemetry;

/// <summary>Spans: ASP.NET Core's of each request, named after its route, and inside it one of each generation. Free while nobody listens.</summary>
internal sealed class GenerationTrace : IDisposable
{
    public const string SourceName = "Sluice.Server";

    /// <summary>ASP.NET Core's own source, whose spans continue the client's <c>traceparent</c>.</summary>
    public const string RequestSourceName = "Microsoft.AspNetCore";

    private readonly ActivitySource _source = new(SourceName);
    private readonly string _model;

    public GenerationTrace(string model) => _model = model;

    /// <summary>Names the span of a whole request.</summary>
    public static void NameRequest(Activity? request, HttpContext context)
    {
        if (request is not { IsAllDataRequested: true })
            return;
        string method = Routes.MethodOf(context.Request), route = Routes.TemplateOf(context);
        request.DisplayName = $"{method} {route}";
        request.SetTag(SemanticNames.HttpMethod, method);
        request.SetTag(SemanticNames.HttpRoute, route);
        context.Response.OnCompleted(() =>
        {
            request.SetTag(SemanticNames.HttpStatus, context.Response.StatusCode);
            return Task.CompletedTask;
        });
    }

    /// <summary>Begins the span of a generation.</summary>
    public Activity? Start(GenerationOperation operation)
    {
        Activity? span = _source.StartActivity($"{operation.Name} {_model}", ActivityKind.Internal);
        span?.SetTag(SemanticNames.OperationName, operation.Name);
        span?.SetTag(SemanticNames.ProviderName, SemanticNames.Provider);
        span?.SetTag(SemanticNames.RequestModel, _model);
        return span;
    }

    /// <summary>Completes the span of a generation.</summary>
    public void Finish(Activity? span, RequestReport report)
    {
        if (span is null)
            return;
        span.SetTag(SemanticNames.ResponseModel, _model);
        if (report.Usage is { } usage)
        {
            span.SetTag(SemanticNames.InputTokens, usage.PromptTokens);
            span.SetTag(SemanticNames.OutputTokens, usage.OutputTokens);
            span.SetTag(SemanticNames.FinishReasons, new[] { report.Outcome });
        }

        if (report.Error is { } error)
        {
            span.SetTag(SemanticNames.ErrorType, error);
            span.SetStatus(ActivityStatusCode.Error);
        }
    }

    public void Dispose() => _source.Dispose();
}
