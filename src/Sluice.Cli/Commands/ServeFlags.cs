using System.CommandLine;

namespace Sluice.Cli.Commands;

/// <summary>
/// The flags of <c>sluice serve</c>, each of which is a setting by another name: what they say is checked where settings are, whether
/// they come from a flag, the environment or a file.
/// </summary>
internal sealed class ServeFlags
{
    private readonly List<(Option<string?> Option, string Setting)> _settings = [];

    public ServeFlags()
    {
        Add("Model", "--model", "DIR", "Model folder (Hugging Face layout). Default: the demonstration model that comes with the program.", "-m");
        Add("Host", "--host", "ADDRESS", "Address to listen on. Default: 127.0.0.1, this machine alone.");
        Add("Port", "--port", "N", "Port; 0 takes a free one. Default: 8080.");
        Add("MaxSequences", "--max-sequences", "N", "Requests that run at a time, memory permitting; others wait. Default: 64.");
        Add("Device", "--device", "DEVICE", Devices.Description);
        Add("Threads", "--threads", "N", "Threads for computing. Default: one per physical core.", "-t");
        Add("Activations", "--activations", "fast|float32", "What the CPU's matrix products make of activations: fast rounds them to BF16, or to INT8 for quantised weights. Default: fast.");
        Add("KvDtype", "--kv-dtype", "auto|float32|bf16|int8", CommonOptions.KvDtypeMeaning);
        Add("Pin", "--pin", "auto|off", ComputeFlags.PinMeaning);
        Add("Numa", "--numa", "auto|off", ComputeFlags.NumaMeaning);
        Add("PackedWeights", "--packed-weights", "off|beside|DIR", ComputeFlags.PackedWeightsMeaning);
        Add("LoadWorkers", "--load-workers", "N", "Tensors loaded at the same time. Default: one per core, 16 at most.");
        Add("Memory", "--memory", "SIZE", "Memory for KV pages and states, for example 8GiB. Default: what is free after the weights, less an eighth.");
        Add("ApiKeyFile", "--api-key-file", "FILE", "Keys, one a line: NAME KEY [rpm=N] [concurrent=N] [group=NAME]; KEY may be sha256:HEX.");
        Add("AllowedHosts", "--allowed-hosts", "NAMES", "Further names this server may be called by in Host, with commas between.");
        Add("CorsOrigins", "--cors-origins", "ORIGINS", "Origins whose pages may use the API from a browser, with commas between. Default: none.");
        Add("MaxBodyBytes", "--max-body-bytes", "N", "Largest request body. Default: 16777216.");
        Add("MaxConnections", "--max-connections", "N", "Most connections at a time. Default: 4096.");
        Add("StalledReaderTimeout", "--stalled-reader-timeout", "TIME", "How long a stream's reader may read nothing before it is cancelled. Default: 30s.");
        Add("StallTimeout", "--stall-timeout", "TIME", "How long work may make no progress before the server is not ready. Default: 60s.");
        Add("DrainDelay", "--drain-delay", "TIME", "How long to go on listening, not ready, after SIGTERM. Default: 0s.");
        Add("ShutdownTimeout", "--shutdown-timeout", "TIME", "How long requests then have to finish. Default: 30s.");
        Add("OtlpEndpoint", "--otlp-endpoint", "URL", "Where to send traces and metrics over OTLP, for example http://localhost:4317. Default: nowhere.");
        Add("PublicMetrics", "--public-metrics", "BOOL", "Whether /metrics is open without a key. Default: false.");
        Add("PublicDocs", "--public-docs", "BOOL", "Whether /scalar and /openapi are open without a key. Default: false.");
    }

    /// <summary>A file of settings.</summary>
    public Option<string?> File { get; } = new("--config")
    {
        HelpName = "FILE",
        Description = "JSON file whose section Sluice holds settings. Default: appsettings.json here, if there is one.",
    };

    /// <summary>Keys on the command line.</summary>
    public Option<string[]> Keys { get; } = new("--api-key")
    {
        HelpName = "KEY",
        AllowMultipleArgumentsPerToken = false,
        Description = "A key that opens the server; may be given several times. Others on this machine can see it: prefer --api-key-file or SLUICE__ApiKey.",
    };

    /// <summary>What each setting's flag is called.</summary>
    public IReadOnlyDictionary<string, string> Names => _settings.ToDictionary(s => s.Setting, s => s.Option.Name, StringComparer.OrdinalIgnoreCase);

    public void AddTo(Command command)
    {
        command.Add(File);
        foreach ((Option<string?> option, string setting) in _settings)
        {
            command.Add(option);
            if (setting == "ApiKeyFile")
                command.Add(Keys);
        }
    }

    /// <summary>The settings that were given as flags.</summary>
    public Dictionary<string, string> Given(ParseResult parsed)
    {
        var given = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach ((Option<string?> option, string setting) in _settings)
        {
            if (parsed.GetValue(option) is { } value)
                given[setting] = value;
        }

        return given;
    }

    private void Add(string setting, string name, string helpName, string description, params string[] aliases) =>
        _settings.Add((new Option<string?>(name, aliases) { HelpName = helpName, Description = description }, setting));
}
