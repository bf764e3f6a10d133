using System.Threading.RateLimiting;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.RateLimiting;
using Sluice.Server.Http;
using Sluice.Server.Telemetry;

namespace Sluice.Server.Access;

/// <summary>
/// Lets in who bears a key. Routing has chosen the endpoint by now and only its metadata counts, never the path as it was written: every
/// endpoint needs a key unless it is marked <c>AllowAnonymous</c>, and so does an address at which there is nothing. An endpoint counts
/// against the key's limits unless it is marked <c>DisableRateLimiting</c>.
/// </summary>
internal sealed class AccessControl
{
    private readonly KeyRing _keys;

    public AccessControl(KeyRing keys) => _keys = keys;

    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        EndpointMetadataCollection? endpoint = context.GetEndpoint()?.Metadata;
        if (_keys.IsOpen || endpoint?.GetMetadata<IAllowAnonymous>() is not null)
        {
            context.Features.Set(ClientIdentity.Anonymous);
            await next(context);
            return;
        }

        Client client = _keys.Find(context.Request.Headers) ?? throw RefusedException.Unauthorized();
        context.Features.Set(client.Identity);
        context.User = client.Principal;
        RequestReport.Of(context).Client = client.Identity.Name;
        using RateLimitLease? place = endpoint?.GetMetadata<DisableRateLimitingAttribute>() is null ? client.Enter() : null;
        await next(context);
    }
}
