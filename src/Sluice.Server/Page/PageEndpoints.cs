using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;

namespace Sluice.Server.Page;

/// <summary>
/// <c>GET /</c>: the page to chat with the model and to watch the engine, and <c>GET /page/FILE</c>, what it is made of.
/// </summary>
internal static class PageEndpoints
{
    private const string Index = "index.html";
    private static readonly string[] Methods = ["GET", "HEAD"];

    /// <summary>Maps the page. Its files need no key, being the same everywhere: they ask for one, and what they show does need it.</summary>
    public static void MapPage(this IEndpointRouteBuilder routes)
    {
        foreach (PageFile file in PageFile.LoadAll())
            routes.MapMethods(file.Name == Index ? "/" : $"/page/{file.Name}", Methods, file.SendAsync).DisableRateLimiting().AllowAnonymous();
    }
}
