using Microsoft.AspNetCore.Builder;

namespace Sluice.Server.Telemetry;

/// <summary>Metadata of an endpoint that generates: what the conventions call it, <c>chat</c> or <c>text_completion</c>.</summary>
internal sealed record GenerationOperation(string Name)
{
    public static GenerationOperation Chat { get; } = new("chat");

    public static GenerationOperation TextCompletion { get; } = new("text_completion");
}

/// <summary>Says of routes what they are.</summary>
internal static class GenerationRoutes
{
    /// <summary>Marks routes that generate, so that they get a span and count among the generations.</summary>
    public static TBuilder Generates<TBuilder>(this TBuilder routes, GenerationOperation operation)
        where TBuilder : IEndpointConventionBuilder => routes.WithMetadata(operation);
}
