using Sluice.Core;
using Sluice.Server.Access;

namespace Sluice.Server.Tests.Access;

/// <summary>Files of keys.</summary>
public sealed class ApiKeyFileTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    [Fact]
    public void A_line_is_a_key_with_its_limits()
    {
        string hash = Convert.ToHexStringLower(ApiKey.HashOf("the-third-key-is-hashed"));
        File.WriteAllText(_path, $"# ours\n\nalice the-first-key-of-all rpm=60 concurrent=4\n  bob\tthe-second-key-of-all   group=team  \ncarol sha256:{hash}\r\n");
        IReadOnlyList<ApiKey> keys = ApiKeyFile.Read(_path);
        Assert.Equal(["alice", "bob", "carol"], keys.Select(k => k.Name));
        Assert.Equal((60, 4, null), (keys[0].RequestsPerMinute!.Value, keys[0].MaxConcurrentRequests!.Value, keys[0].CacheGroup));
        Assert.Equal("team", keys[1].CacheGroup);
        Assert.Equal(ApiKey.HashOf("the-third-key-is-hashed"), keys[2].Hash);
    }

    [Theory]
    [InlineData("xyzzy-sentinel-key")]
    [InlineData("alice xyzzy-short")]
    [InlineData("alice xyzzy-sentinel-key rpm=0")]
    [InlineData("alice xyzzy-sentinel-key rpm=xyzzy")]
    [InlineData("alice xyzzy-sentinel-key xyzzy")]
    [InlineData("al/ice xyzzy-sentinel-key")]
    [InlineData("alice sha256:xyzzy")]
    public void A_line_that_is_none_is_named_by_its_number_and_not_repeated(string line)
    {
        File.WriteAllText(_path, $"# first\n{line}\n");
        string message = Assert.Throws<ConfigurationException>(() => ApiKeyFile.Read(_path)).Message;
        Assert.Contains("line 2", message, StringComparison.Ordinal);
        Assert.DoesNotContain("xyzzy", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_without_keys_or_that_is_not_there_is_an_error()
    {
        Assert.Contains("no key", Assert.Throws<ConfigurationException>(() => ApiKeyFile.Read(_path)).Message, StringComparison.Ordinal);
        Assert.Contains("cannot be read", Assert.Throws<ConfigurationException>(() => ApiKeyFile.Read(_path + ".no")).Message, StringComparison.Ordinal);
    }

    public void Dispose() => File.Delete(_path);
}
