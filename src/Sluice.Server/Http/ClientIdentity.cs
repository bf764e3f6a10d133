using Microsoft.AspNetCore.Http;

namespace Sluice.Server.Http;

/// <summary>Whose request it is: what one client has the server keep, no other gets to see.</summary>
internal static class ClientIdentity
{
    /// <summary>The authenticated client's name; where nobody has to say who they are, everybody is the same.</summary>
    public static string Of(HttpContext context) => context.User.Identity is { IsAuthenticated: true, Name: { } name } ? name : "";
}
