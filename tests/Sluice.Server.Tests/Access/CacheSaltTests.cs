using Sluice.Server.Access;

namespace Sluice.Server.Tests.Access;

/// <summary>What one key had computed is nothing to another, unless both are of a group.</summary>
public sealed class CacheSaltTests
{
    private const string Alice = "sk-alice-0123456789abcd", Bob = "sk-bob-0123456789abcdef", Carol = "sk-carol-0123456789abcd", Dan = "sk-dan-0123456789abcdef";

    [Fact]
    public async Task Prefixes_are_shared_within_a_key_and_a_group_only()
    {
        await using TestServer server = await TestServer.StartAsync(new ServerOptions
        {
            ApiKeys = [ApiKey.Of("alice", Alice), ApiKey.Of("bob", Bob), ApiKey.Of("carol", Carol) with { CacheGroup = "team" }, ApiKey.Of("dan", Dan) with { CacheGroup = "team" }],
        });
        string message = string.Concat(Enumerable.Range(0, 200).Select(i => $"word {i} "));
        async Task<int> CachedAsync(string name, string key)
        {
            server.Http.DefaultRequestHeaders.Authorization = new("Bearer", key);
            _ = await server.ChatAsync(message, "\"max_tokens\":1");
            string line = await server.LoggedAsync($" {name} POST");
            server.Log.Clear();
            int end = line.IndexOf(" cached)", StringComparison.Ordinal);
            return int.Parse(line.AsSpan((line.LastIndexOf('(', end) + 1)..end), System.Globalization.CultureInfo.InvariantCulture);
        }

        Assert.Equal(0, await CachedAsync("alice", Alice));
        Assert.True(await CachedAsync("alice", Alice) > 0);
        Assert.Equal(0, await CachedAsync("bob", Bob));
        Assert.Equal(0, await CachedAsync("carol", Carol));
        Assert.True(await CachedAsync("dan", Dan) > 0);
    }
}
