using System.Net;
using Sluice.Core;
using Sluice.Server.Access;

namespace Sluice.Server.Configuration;

/// <summary>Makes <see cref="ServerOptions"/> of <see cref="Settings"/>; the settings have the names of the options.</summary>
public static class ServerSettings
{
    private const string KeysName = "ApiKeys";

    /// <summary>Reads the options.</summary>
    /// <param name="settings">Where from.</param>
    /// <param name="flagKeys">Keys given as flags, which are named <c>key-1</c> and so on.</param>
    /// <exception cref="ConfigurationException">A setting is invalid; the message names it and the fix.</exception>
    public static ServerOptions Read(Settings settings, IReadOnlyList<string> flagKeys)
    {
        ServerOptions options = new()
        {
            Address = ReadAddress(settings),
            ApiKeys = ReadKeys(settings, flagKeys),
        };

        options = Set(options, settings, nameof(options.Port), settings.Integer, static (o, v) => o with { Port = v });
        options = Set(options, settings, nameof(options.MaxBodyBytes), settings.Integer, static (o, v) => o with { MaxBodyBytes = v });
        options = Set(options, settings, nameof(options.MaxConnections), settings.Integer, static (o, v) => o with { MaxConnections = v });
        options = Set(options, settings, nameof(options.MinBytesPerSecond), settings.Integer, static (o, v) => o with { MinBytesPerSecond = v });
        options = Set(options, settings, nameof(options.HeaderTimeout), settings.Duration, static (o, v) => o with { HeaderTimeout = v });
        options = Set(options, settings, nameof(options.IdleTimeout), settings.Duration, static (o, v) => o with { IdleTimeout = v });
        options = Set(options, settings, nameof(options.StalledReaderTimeout), settings.Duration, static (o, v) => o with { StalledReaderTimeout = v });
        options = Set(options, settings, nameof(options.KeepAliveInterval), settings.Duration, static (o, v) => o with { KeepAliveInterval = v });
        options = Set(options, settings, nameof(options.StallTimeout), settings.Duration, static (o, v) => o with { StallTimeout = v });
        options = Set(options, settings, nameof(options.DrainDelay), settings.Duration, static (o, v) => o with { DrainDelay = v });
        options = Set(options, settings, nameof(options.ShutdownTimeout), settings.Duration, static (o, v) => o with { ShutdownTimeout = v });
        options = Set(options, settings, nameof(options.PublicMetrics), settings.Boolean, static (o, v) => o with { PublicMetrics = v });
        options = Set(options, settings, nameof(options.PublicDocs), settings.Boolean, static (o, v) => o with { PublicDocs = v });
        if (settings.List(nameof(options.AllowedHosts)) is { } hosts)
            options = settings.Make(nameof(options.AllowedHosts), () => options with { AllowedHosts = hosts });
        if (settings.List(nameof(options.CorsOrigins)) is { } origins)
            options = settings.Make(nameof(options.CorsOrigins), () => options with { CorsOrigins = origins });
        if (settings.Text(nameof(options.OtlpEndpoint)) is { } endpoint)
        {
            options = settings.Make(nameof(options.OtlpEndpoint), () => options with
            {
                OtlpEndpoint = Uri.TryCreate(endpoint, UriKind.Absolute, out Uri? uri)
                    ? uri
                    : throw new ConfigurationException($"expected an address such as http://localhost:4317, found '{endpoint}'"),
            });
        }

        return options;
    }

    private static ServerOptions Set<T>(
        ServerOptions options, Settings settings, string name, Func<string, T?> read, Func<ServerOptions, T, ServerOptions> set)
        where T : struct => read(name) is { } value ? settings.Make(name, () => set(options, value)) : options;

    private static IPAddress ReadAddress(Settings settings)
    {
        if (settings.Text("Host") is not { } host)
            return IPAddress.Loopback;
        if (host == "localhost")
            return IPAddress.Loopback;
        return IPAddress.TryParse(host, out IPAddress? address)
            ? address
            : throw settings.Invalid("Host", $"expected an IP address such as 127.0.0.1 or 0.0.0.0, found '{host}'");
    }

    private static List<ApiKey> ReadKeys(Settings settings, IReadOnlyList<string> flagKeys)
    {
        var keys = new List<ApiKey>();
        if (settings.Text("ApiKey") is { } single)
            keys.Add(settings.Make("ApiKey", () => ApiKey.Of("key", single)));
        foreach (string key in flagKeys)
            keys.Add(ApiKey.Of($"key-{keys.Count + 1}", key));
        if (settings.Text("ApiKeyFile") is { } file)
            keys.AddRange(ApiKeyFile.Read(file));
        foreach (string name in settings.Children(KeysName))
            keys.Add(settings.Make($"{KeysName}:{name}", () => ReadKey(settings, name)));
        return keys;
    }

    private static ApiKey ReadKey(Settings settings, string name)
    {
        string? key = settings.Text($"{KeysName}:{name}:Key"), hash = settings.Text($"{KeysName}:{name}:Sha256");
        if (key is null == hash is null)
            throw new ConfigurationException("expected either Key or Sha256");
        return (key is not null ? ApiKey.Of(name, key) : ApiKey.OfSha256(name, hash!)) with
        {
            RequestsPerMinute = settings.Integer($"{KeysName}:{name}:RequestsPerMinute"),
            MaxConcurrentRequests = settings.Integer($"{KeysName}:{name}:MaxConcurrentRequests"),
            CacheGroup = settings.Text($"{KeysName}:{name}:CacheGroup"),
        };
    }
}
