using Microsoft.AspNetCore.Http;

namespace Sluice.Server.Access;

/// <summary>Who sent a request: a feature of its <see cref="HttpContext"/>, there before any endpoint runs.</summary>
/// <param name="Name">The key's name.</param>
/// <param name="CacheSalt">What to mix into the prefix cache: requests share cached prefixes only if this is equal.</param>
internal sealed record ClientIdentity(string Name, string CacheSalt)
{
    /// <summary>Everybody, where no key is set.</summary>
    public static ClientIdentity Anonymous { get; } = new("anonymous", "");

    /// <summary>Who sent this request.</summary>
    public static ClientIdentity Of(HttpContext context) => context.Features.Get<ClientIdentity>() ?? Anonymous;
}
