using System.Net;
using Microsoft.AspNetCore.Http;
using Sluice.Server.Http;

namespace Sluice.Server.Access;

/// <summary>
/// Against DNS rebinding, by which a web page makes a browser talk to a server that only this machine can reach: the request must name
/// this server in Host, and come from one of its own pages if it says in Origin that it comes from a page at all. Applies to a server
/// that listens on loopback, and to any for which hosts are configured.
/// </summary>
internal sealed class HostGuard
{
    private readonly HashSet<string> _hosts = new(StringComparer.OrdinalIgnoreCase);
    private readonly HashSet<string> _origins;

    public HostGuard(ServerOptions options)
    {
        _hosts.UnionWith(options.AllowedHosts);
        _origins = new HashSet<string>(options.CorsOrigins, StringComparer.OrdinalIgnoreCase);
        if (IPAddress.IsLoopback(options.Address))
            _hosts.UnionWith(["localhost", "127.0.0.1", "[::1]", NameOf(options.Address)]);
        IsNeeded = _hosts.Count > 0;
    }

    /// <summary>Whether there is anything to check.</summary>
    public bool IsNeeded { get; }

    public Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        if (!_hosts.Contains(context.Request.Host.Host))
            throw RefusedException.Forbidden("the Host header names another server than this one; AllowedHosts lists further names", "host_not_allowed");
        if (context.Request.Headers.Origin is { Count: > 0 } origin && !IsOwn(origin.ToString()))
            throw RefusedException.Forbidden("the request comes from a page of another origin; CorsOrigins lists those that may", "origin_not_allowed");
        return next(context);
    }

    private bool IsOwn(string origin) =>
        _origins.Contains(origin)
        || (Uri.TryCreate(origin, UriKind.Absolute, out Uri? uri) && (uri.Scheme is "http" or "https") && _hosts.Contains(uri.Host));

    private static string NameOf(IPAddress address) => address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? $"[{address}]" : address.ToString();
}
