using Microsoft.AspNetCore.Http;

namespace Sluice.Server.Http;

/// <summary>A request that is turned away whatever it asks for: its bearer, its origin or its timing is wrong, not its content.</summary>
internal sealed class RefusedException : Exception
{
    private RefusedException(int status, string type, string code, string message, TimeSpan? retryAfter = null)
        : base(message)
    {
        Status = status;
        Type = type;
        Code = code;
        RetryAfter = retryAfter;
    }

    /// <summary>Status of the response.</summary>
    public int Status { get; }

    /// <summary>Kind of error, in OpenAI's words.</summary>
    public string Type { get; }

    /// <summary>A short, stable code.</summary>
    public string Code { get; }

    /// <summary>When to try again, if that can help.</summary>
    public TimeSpan? RetryAfter { get; }

    public static RefusedException Unauthorized() => new(
        StatusCodes.Status401Unauthorized, "invalid_request_error", "invalid_api_key",
        "a valid API key is needed: send it as Authorization: Bearer KEY, or as x-api-key: KEY");

    public static RefusedException Forbidden(string message, string code) => new(StatusCodes.Status403Forbidden, "permission_error", code, message);

    public static RefusedException TooMany(string message, string code, TimeSpan retryAfter) =>
        new(StatusCodes.Status429TooManyRequests, "rate_limit_error", code, message, retryAfter);
}
