using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.OpenApi;
using Scalar.AspNetCore;
using Sluice.Server.Anthropic;
using Sluice.Server.Debug;
using Sluice.Server.Health;
using Sluice.Server.Ollama;
using Sluice.Server.OpenAI;
using Sluice.Server.Responses;
using Sluice.Server.Tokens;

namespace Sluice.Server.Documentation;

/// <summary>
/// <c>GET /openapi/v1.json</c>, the API's description, and <c>GET /scalar</c>, a page to read it and try it. The page comes with its own
/// script and is forbidden to load or send anything elsewhere.
/// </summary>
internal static class ApiDescription
{
    private const string BearerScheme = "Bearer";
    private const string PagePolicy =
        "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    /// <summary>Adds what describes the endpoints.</summary>
    public static void AddApiDescription(this IServiceCollection services, ServerOptions options)
    {
        services.ConfigureHttpJsonOptions(json =>
        {
            json.SerializerOptions.PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower;
            json.SerializerOptions.TypeInfoResolver =
                JsonTypeInfoResolver.Combine(
                    RequestBodiesJson.Default, OtherBodiesJson.Default, OpenAIJson.Default, ResponsesJson.Default, AnthropicJson.Default, OllamaJson.Default,
                    TokensJson.Default, HealthJson.Default, DebugJson.Default);
        });
        services.AddOpenApi("v1", openApi =>
        {
            openApi.ShouldInclude = static endpoint => endpoint.ActionDescriptor.EndpointMetadata.OfType<Described>().Any();
            openApi.AddDocumentTransformer((document, _, _) =>
            {
                document.Info = new OpenApiInfo { Title = "Sluice", Version = "v1", Description = "Chat, completions and tokens of the model this server has loaded." };
                document.Servers = [new OpenApiServer { Url = "/" }];
                if (options.ApiKeys.Count > 0)
                    RequireKey(document);
                return Task.CompletedTask;
            });
            openApi.AddOperationTransformer(DescribeAsync);
        });
    }

    /// <summary>Maps the description and its page.</summary>
    public static void MapApiDescription(this IEndpointRouteBuilder app, ServerOptions options)
    {
        IEndpointConventionBuilder[] routes =
        [
            app.MapOpenApi(),
            app.MapScalarApiReference("/scalar", page => page
                .WithTitle("Sluice")
                .DisableDefaultFonts()
                .DisableTelemetry()
                .DisableAgent()
                .DisableMcp()),
        ];
        foreach (IEndpointConventionBuilder route in routes)
        {
            // The page's own assets come marked as open to all; who may see them is decided here.
            route.WithMetadata(new DisableRateLimitingAttribute());
            route.Finally(endpoint =>
            {
                foreach (object mark in endpoint.Metadata.Where(metadata => metadata is IAllowAnonymous).ToArray())
                    endpoint.Metadata.Remove(mark);
                if (options.PublicDocs)
                    endpoint.Metadata.Add(new AllowAnonymousAttribute());
            });
        }

        routes[1].Add(static endpoint =>
        {
            if (endpoint.RequestDelegate is not { } page)
                return;
            endpoint.RequestDelegate = context =>
            {
                context.Response.Headers.ContentSecurityPolicy = PagePolicy;
                return page(context);
            };
        });
    }

    private static void RequireKey(OpenApiDocument document)
    {
        document.Components ??= new OpenApiComponents();
        document.AddComponent(BearerScheme, new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", Description = "An API key." });
        document.Security = [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference(BearerScheme, document)] = [] }];
    }

    private static async Task DescribeAsync(OpenApiOperation operation, OpenApiOperationTransformerContext context, CancellationToken cancellation)
    {
        Described described = context.Description.ActionDescriptor.EndpointMetadata.OfType<Described>().Single();
        operation.Summary = described.Summary;
        operation.Tags = new HashSet<OpenApiTagReference> { new(described.Tag) };
        if (described.Body is { } body)
        {
            operation.RequestBody = new OpenApiRequestBody
            {
                Required = true,
                Content = new Dictionary<string, OpenApiMediaType>(StringComparer.Ordinal)
                {
                    ["application/json"] = new() { Schema = await context.GetOrCreateSchemaAsync(body, cancellationToken: cancellation) },
                },
            };
        }

        operation.Responses = new OpenApiResponses
        {
            ["200"] = new OpenApiResponse { Description = "The answer.", Content = await AnswerAsync(described, context, cancellation) },
            ["default"] = new OpenApiResponse
            {
                Description = "An error: 4xx for what the request does wrong, 429 and 503 with Retry-After.",
                Content = new Dictionary<string, OpenApiMediaType>(StringComparer.Ordinal)
                {
                    ["application/json"] = new() { Schema = await context.GetOrCreateSchemaAsync(typeof(ErrorBody), cancellationToken: cancellation) },
                },
            },
        };
    }

    private static async Task<Dictionary<string, OpenApiMediaType>> AnswerAsync(
        Described described, OpenApiOperationTransformerContext context, CancellationToken cancellation)
    {
        var content = new Dictionary<string, OpenApiMediaType>(StringComparer.Ordinal);
        if (described.Answer is { } answer)
            content["application/json"] = new OpenApiMediaType { Schema = await context.GetOrCreateSchemaAsync(answer, cancellationToken: cancellation) };
        else
            content["text/plain"] = new OpenApiMediaType();
        if (described.Streams)
            content["text/event-stream"] = new OpenApiMediaType();
        return content;
    }
}
