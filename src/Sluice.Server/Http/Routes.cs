using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Sluice.Server.Http;

/// <summary>Names of requests for logs and metrics: few, and none that a client makes up.</summary>
internal static class Routes
{
    /// <summary>The template of the route that a request took; <c>(none)</c> where there is none.</summary>
    public static string TemplateOf(HttpContext context) => (context.GetEndpoint() as RouteEndpoint)?.RoutePattern.RawText ?? "(none)";

    /// <summary>The method, if it is one that HTTP knows.</summary>
    public static string MethodOf(HttpRequest request)
    {
        string method = HttpMethods.GetCanonicalizedValue(request.Method);
        return HttpMethods.IsGet(method) || HttpMethods.IsPost(method) || HttpMethods.IsHead(method) || HttpMethods.IsOptions(method)
            || HttpMethods.IsPut(method) || HttpMethods.IsDelete(method) || HttpMethods.IsPatch(method)
            ? method
            : "_OTHER";
    }
}
