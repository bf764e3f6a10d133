using System.Reflection;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Sluice.Server.Documentation;

/// <summary>Metadata of an endpoint: what the API's description says of it.</summary>
/// <param name="Summary">What it does, in a line.</param>
/// <param name="Tag">The chapter it stands in.</param>
/// <param name="Body">Type of the body it takes, or null.</param>
/// <param name="Answer">Type of the answer, or null if that is no JSON.</param>
/// <param name="Streams">Whether the answer may also be a stream of events.</param>
internal sealed record Described(string Summary, string Tag, Type? Body = null, Type? Answer = null, bool Streams = false);

/// <summary>Puts routes into the API's description.</summary>
internal static class DescribedRoutes
{
    /// <summary>Describes routes; <paramref name="handler"/> is what they call. A route that is not described is left out.</summary>
    public static TBuilder Describe<TBuilder>(this TBuilder routes, RequestDelegate handler, Described description)
        where TBuilder : IEndpointConventionBuilder
    {
        // ASP.NET Core describes only endpoints whose method it knows, and does not note it for request delegates.
        MethodInfo method = handler.Method;
        return routes.WithMetadata(method, description);
    }
}
