using Sluice.Core;
using Sluice.Server.Configuration;

namespace Sluice.Server.Tests.Configuration;

/// <summary>Settings from files, the environment and flags.</summary>
public sealed class SettingsTests : IDisposable
{
    private const string Key = "sk-0123456789abcdefghij";
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.json");
    private readonly List<string> _variables = [];

    [Fact]
    public void Nothing_set_is_the_default()
    {
        ServerOptions options = Read("{}");
        Assert.Equal(new ServerOptions() with { ApiKeys = options.ApiKeys }, options with { AllowedHosts = new ServerOptions().AllowedHosts });
        Assert.Empty(options.ApiKeys);
    }

    [Fact]
    public void Flags_win_over_the_environment_and_that_over_the_file()
    {
        Set("SLUICE__PORT", "2");
        Set("SLUICE__MaxBodyBytes", "2");
        ServerOptions options = Read("""{"Sluice":{"Port":1,"MaxBodyBytes":1,"MaxConnections":1},"Logging":{"LogLevel":{"Default":"Debug"}}}""", ("Port", "3"));
        Assert.Equal((3, 2, 1), (options.Port, options.MaxBodyBytes, options.MaxConnections));
    }

    [Fact]
    public void Every_kind_of_setting_is_read()
    {
        string hash = new('a', 64);
        ServerOptions options = Read($$$$$"""
            {"Sluice":{"Host":"0.0.0.0","DrainDelay":"5s","StalledReaderTimeout":"500ms","KeepAliveInterval":"00:00:20","ShutdownTimeout":"2m","StallTimeout":"1.5h",
              "AllowedHosts":["a.example","b.example"],"CorsOrigins":"https://a.example, https://b.example","PublicMetrics":true,"OtlpEndpoint":"http://localhost:4317",
              "ApiKeys":{"alice":{"Key":"{{{{{Key}}}}}","RequestsPerMinute":60,"MaxConcurrentRequests":4},"bob":{"Sha256":"{{{{{hash}}}}}","CacheGroup":"team"}}}}
            """);
        Assert.Equal("0.0.0.0", options.Address.ToString());
        Assert.Equal(
            (5, 0.5, 20, 120, 5400),
            (options.DrainDelay.TotalSeconds, options.StalledReaderTimeout.TotalSeconds, options.KeepAliveInterval.TotalSeconds, options.ShutdownTimeout.TotalSeconds, options.StallTimeout.TotalSeconds));
        Assert.Equal(["a.example", "b.example"], options.AllowedHosts);
        Assert.Equal(["https://a.example", "https://b.example"], options.CorsOrigins);
        Assert.True(options.PublicMetrics);
        Assert.Equal(["alice", "bob"], options.ApiKeys.Select(k => k.Name));
        Assert.Equal((60, 4), (options.ApiKeys[0].RequestsPerMinute!.Value, options.ApiKeys[0].MaxConcurrentRequests!.Value));
        Assert.Equal("team", options.ApiKeys[1].CacheGroup);
    }

    [Fact]
    public void Keys_of_all_sources_are_added_up()
    {
        Set("SLUICE__APIKEY", Key + "-environment");
        File.WriteAllText(_path + ".keys", $"filed {Key}-filed\n");
        var settings = Settings.Load(Write($$$$$"""{"Sluice":{"ApiKeys":{"alice":{"Key":"{{{{{Key}}}}}"}}}}"""), new Dictionary<string, string> { ["ApiKeyFile"] = _path + ".keys" }, new Dictionary<string, string>());
        Assert.Equal(["key", "key-2", "filed", "alice"], ServerSettings.Read(settings, [Key + "-flag"]).ApiKeys.Select(k => k.Name));
        File.Delete(_path + ".keys");
    }

    [Theory]
    [InlineData("""{"Sluice":{"Prot":1}}""", "Sluice:Prot", "did you mean Port?")]
    [InlineData("""{"Sluice":{"Frobnicate":1}}""", "Sluice:Frobnicate", "no such setting")]
    [InlineData("""{"Sluice":{"ApiKeys":{"alice":{"Key":"sk-0123456789abcdefghij","RequestPerMinute":1}}}}""", "Sluice:ApiKeys:alice:RequestPerMinute", "did you mean ApiKeys:alice:RequestsPerMinute?")]
    [InlineData("""{"Sluice":{"Port":"abc"}}""", "Sluice:Port", "whole number")]
    [InlineData("""{"Sluice":{"Port":70000}}""", "Sluice:Port", "from 0 to 65535")]
    [InlineData("""{"Sluice":{"MaxBodyBytes":0}}""", "Sluice:MaxBodyBytes", "from 1 to")]
    [InlineData("""{"Sluice":{"Host":"example"}}""", "Sluice:Host", "IP address")]
    [InlineData("""{"Sluice":{"DrainDelay":"soon"}}""", "Sluice:DrainDelay", "30s")]
    [InlineData("""{"Sluice":{"DrainDelay":"-5s"}}""", "Sluice:DrainDelay", "30s")]
    [InlineData("""{"Sluice":{"StallTimeout":"0s"}}""", "Sluice:StallTimeout", "longer than 0")]
    [InlineData("""{"Sluice":{"PublicMetrics":"maybe"}}""", "Sluice:PublicMetrics", "true or false")]
    [InlineData("""{"Sluice":{"CorsOrigins":["*"]}}""", "Sluice:CorsOrigins", "wildcard")]
    [InlineData("""{"Sluice":{"AllowedHosts":["a b"]}}""", "Sluice:AllowedHosts", "host name")]
    [InlineData("""{"Sluice":{"OtlpEndpoint":"localhost:4317"}}""", "Sluice:OtlpEndpoint", "http://localhost:4317")]
    [InlineData("""{"Sluice":{"ApiKeys":{"alice":{}}}}""", "Sluice:ApiKeys:alice", "either Key or Sha256")]
    [InlineData("""{"Sluice":{"ApiKeys":{"alice":{"Key":"short"}}}}""", "Sluice:ApiKeys:alice", "from 16 to")]
    [InlineData("""{"Sluice":{"ApiKeys":{"alice":{"Key":"sk-0123456789abcdefghij","RequestsPerMinute":0}}}}""", "Sluice:ApiKeys:alice", "at least 1")]
    [InlineData("""{"Sluice":{"ApiKey":"short"}}""", "Sluice:ApiKey", "from 16 to")]
    public void What_is_wrong_is_named_with_its_source_and_the_fix(string json, string setting, string fix)
    {
        string message = Assert.Throws<ConfigurationException>(() => Read(json)).Message;
        Assert.Contains(setting, message, StringComparison.Ordinal);
        Assert.Contains(Path.GetFileName(_path), message, StringComparison.Ordinal);
        Assert.Contains(fix, message, StringComparison.Ordinal);
        Assert.DoesNotContain("short", message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', message);
    }

    [Fact]
    public void A_flag_and_a_variable_are_named_as_they_are_written()
    {
        Assert.StartsWith("Sluice:Port (from --port): ", Assert.Throws<ConfigurationException>(() => Read("{}", ("Port", "x"))).Message, StringComparison.Ordinal);
        Set("SLUICE__PROT", "1");
        Assert.Contains("(from SLUICE__PROT): there is no such setting; did you mean Port?", Assert.Throws<ConfigurationException>(() => Read("{}")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_missing_or_no_JSON_is_an_error()
    {
        Assert.Contains("is not there", Assert.Throws<ConfigurationException>(() => Settings.Load("/no/such.json", new Dictionary<string, string>(), new Dictionary<string, string>())).Message, StringComparison.Ordinal);
        Assert.Contains("cannot be read", Assert.Throws<ConfigurationException>(() => Read("{\"Sluice\":")).Message, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        File.Delete(_path);
        foreach (string variable in _variables)
            Environment.SetEnvironmentVariable(variable, null);
    }

    private ServerOptions Read(string json, params (string Name, string Value)[] flags)
    {
        var settings = Settings.Load(Write(json), flags.ToDictionary(f => f.Name, f => f.Value), new Dictionary<string, string> { ["Port"] = "--port" });
        ServerOptions options = ServerSettings.Read(settings, []);
        settings.RefuseUnknown();
        return options;
    }

    private string Write(string json)
    {
        File.WriteAllText(_path, json);
        return _path;
    }

    private void Set(string name, string value)
    {
        _variables.Add(name);
        Environment.SetEnvironmentVariable(name, value);
    }
}
