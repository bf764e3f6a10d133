using System.Net;
using Sluice.Core;
using Sluice.Server.Access;

namespace Sluice.Server;

/// <summary>Where the server listens, whom it lets in and what it puts up with. Values are checked when they are set.</summary>
public sealed record ServerOptions
{
    private static readonly TimeSpan Longest = TimeSpan.FromDays(1);

    /// <summary>Address to listen on. Default loopback: only this machine.</summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>Port to listen on; 0 takes a free one. Default 8080.</summary>
    public int Port { get; init => field = InRange(value, 0, 65535, nameof(Port)); } = 8080;

    /// <summary>Keys that open the server. Default none: whoever reaches it may use it.</summary>
    public IReadOnlyList<ApiKey> ApiKeys { get; init; } = [];

    /// <summary>
    /// Names this server may be called by in Host, besides its own when it listens on loopback. Default none: a server that listens
    /// elsewhere then takes any.
    /// </summary>
    public IReadOnlyList<string> AllowedHosts { get; init => field = AllOf(value, IsHost, nameof(AllowedHosts), "a host name or address without a port"); } = [];

    /// <summary>Origins whose pages may use the API from a browser, such as <c>https://chat.example</c>. Default none.</summary>
    public IReadOnlyList<string> CorsOrigins { get; init => field = AllOf(value, IsOrigin, nameof(CorsOrigins), "an origin such as https://chat.example; a wildcard is not possible"); } = [];

    /// <summary>Largest request body, bytes; a larger one is answered 413. Default 16 MiB.</summary>
    public int MaxBodyBytes { get; init => field = InRange(value, 1, int.MaxValue, nameof(MaxBodyBytes)); } = 16 << 20;

    /// <summary>Most connections at a time; further ones are closed at once. Default 4096.</summary>
    public int MaxConnections { get; init => field = InRange(value, 1, int.MaxValue, nameof(MaxConnections)); } = 4096;

    /// <summary>How long a client may take to send its headers. Default 10 seconds.</summary>
    public TimeSpan HeaderTimeout { get; init => field = Positive(value, nameof(HeaderTimeout)); } = TimeSpan.FromSeconds(10);

    /// <summary>How long a connection may stay open between requests. Default 2 minutes.</summary>
    public TimeSpan IdleTimeout { get; init => field = Positive(value, nameof(IdleTimeout)); } = TimeSpan.FromMinutes(2);

    /// <summary>Least speed of a body in bytes a second, after 5 seconds; a slower one is answered 408. Default 240.</summary>
    public int MinBytesPerSecond { get; init => field = InRange(value, 1, int.MaxValue, nameof(MinBytesPerSecond)); } = 240;

    /// <summary>How long the reader of a stream may read nothing, once the buffers between are full, before its request is cancelled. Default 30 seconds.</summary>
    public TimeSpan StalledReaderTimeout { get; init => field = Positive(value, nameof(StalledReaderTimeout)); } = TimeSpan.FromSeconds(30);

    /// <summary>How often a stream that has nothing to say sends a comment, so that nobody on the way gives it up. Default 15 seconds.</summary>
    public TimeSpan KeepAliveInterval { get; init => field = Positive(value, nameof(KeepAliveInterval)); } = TimeSpan.FromSeconds(15);

    /// <summary>How long the engine may complete no step while it has work, before the server counts as not ready. Default 60 seconds.</summary>
    public TimeSpan StallTimeout { get; init => field = Positive(value, nameof(StallTimeout)); } = TimeSpan.FromSeconds(60);

    /// <summary>How long a stopping server, not ready any more, goes on listening, so that balancers notice. Default 0.</summary>
    public TimeSpan DrainDelay { get; init => field = NotNegative(value, nameof(DrainDelay)); } = TimeSpan.Zero;

    /// <summary>How long a stopping server then lets requests finish before it cancels them. Default 30 seconds.</summary>
    public TimeSpan ShutdownTimeout { get; init => field = NotNegative(value, nameof(ShutdownTimeout)); } = TimeSpan.FromSeconds(30);

    /// <summary>Whether <c>/metrics</c> is open without a key. Default false.</summary>
    public bool PublicMetrics { get; init; }

    /// <summary>Whether the API's description and its page are open without a key. Default false.</summary>
    public bool PublicDocs { get; init; }

    /// <summary>Where to send spans and metrics over OTLP, such as <c>http://localhost:4317</c>; null: what <c>OTEL_EXPORTER_OTLP_ENDPOINT</c> says, or nowhere.</summary>
    public Uri? OtlpEndpoint { get; init => field = HttpOrNull(value, nameof(OtlpEndpoint)); }

    private static int InRange(int value, int low, int high, string name) => value >= low && value <= high
        ? value
        : throw new ConfigurationException($"{name} must be from {low} to {high}, found {value}");

    private static TimeSpan Positive(TimeSpan value, string name) => value > TimeSpan.Zero && value <= Longest
        ? value
        : throw new ConfigurationException($"{name} must be longer than 0 and at most a day, found {value}");

    private static TimeSpan NotNegative(TimeSpan value, string name) => value >= TimeSpan.Zero && value <= Longest
        ? value
        : throw new ConfigurationException($"{name} must be from 0 to a day, found {value}");

    private static IReadOnlyList<string> AllOf(IReadOnlyList<string> values, Predicate<string> isValid, string name, string expected)
    {
        foreach (string value in values)
        {
            if (!isValid(value))
                throw new ConfigurationException($"{name}: expected {expected}, found '{value}'");
        }

        return values;
    }

    private static bool IsHost(string host) => Uri.CheckHostName(host) != UriHostNameType.Unknown;

    private static bool IsOrigin(string origin) =>
        Uri.TryCreate(origin, UriKind.Absolute, out Uri? uri) && uri.Host.Length > 0 && !origin.Contains('*', StringComparison.Ordinal)
        && origin == $"{uri.Scheme}://{uri.Authority}";

    private static Uri? HttpOrNull(Uri? value, string name) => value is null || (value.IsAbsoluteUri && (value.Scheme is "http" or "https"))
        ? value
        : throw new ConfigurationException($"{name}: expected an address such as http://localhost:4317, found '{value}'");
}
