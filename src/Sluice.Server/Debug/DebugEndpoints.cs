using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Sluice.Core;
using Sluice.Engine;
using Sluice.Server.Documentation;

namespace Sluice.Server.Debug;

/// <summary>Looking into the engine.</summary>
internal static class DebugEndpoints
{
    private const int DefaultNodes = 256;
    private const int MostNodes = 10_000;

    /// <summary>
    /// <c>GET /debug/cache</c>: budget, hit rates and tree, as JSON, or as text for whoever accepts <c>text/plain</c>; <c>POST /debug/cache/clear</c>: forgets all that no running request needs.
    /// </summary>
    public static void MapDebug(this IEndpointRouteBuilder routes, InferenceEngine engine)
    {
        RequestDelegate show = context => ShowAsync(context, engine), clear = context => ClearAsync(context, engine);
        routes.MapGet("/debug/cache", show).DisableRateLimiting()
            .Describe(show, new Described("Shows the prefix cache", "Operation", Answer: typeof(CacheView)));
        routes.MapPost("/debug/cache/clear", clear).DisableRateLimiting()
            .Describe(clear, new Described("Empties the prefix cache", "Operation"));
    }

    private static async Task ShowAsync(HttpContext context, InferenceEngine engine)
    {
        CacheSnapshot snapshot = await engine.SnapshotCacheAsync(Nodes(context.Request), context.RequestAborted);
        context.Response.Headers.CacheControl = "no-store";
        if (context.Request.Headers.Accept.Any(accept => accept?.Contains("text/plain", StringComparison.OrdinalIgnoreCase) == true))
        {
            context.Response.ContentType = "text/plain; charset=utf-8";
            await context.Response.Body.WriteAsync(Encoding.UTF8.GetBytes(CacheReport.Write(snapshot)), context.RequestAborted);
            return;
        }

        await context.Response.WriteAsJsonAsync(CacheView.Of(engine.Status, snapshot), DebugJson.Default.CacheView, cancellationToken: context.RequestAborted);
    }

    private static async Task ClearAsync(HttpContext context, InferenceEngine engine)
    {
        long bytes = await engine.ClearCacheAsync(context.RequestAborted);
        context.Response.ContentType = "text/plain; charset=utf-8";
        await context.Response.WriteAsync(string.Create(CultureInfo.InvariantCulture, $"{bytes} bytes freed\n"), context.RequestAborted);
    }

    private static int Nodes(HttpRequest request)
    {
        string? given = request.Query["nodes"];
        if (given is null)
            return DefaultNodes;
        return int.TryParse(given, NumberStyles.None, CultureInfo.InvariantCulture, out int nodes) && nodes <= MostNodes
            ? nodes
            : throw new RequestException($"nodes must be a number from 0 to {MostNodes}", "nodes");
    }
}
