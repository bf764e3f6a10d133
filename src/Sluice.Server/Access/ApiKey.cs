using System.Security.Cryptography;
using System.Text;
using Sluice.Core;

namespace Sluice.Server.Access;

/// <summary>
/// A key that opens the server, and what its bearer may do. The key itself is not kept: only its SHA-256, which need not be slow or
/// salted because keys are long and random, not chosen by people.
/// </summary>
public sealed record ApiKey
{
    /// <summary>Fewest characters of a key: shorter ones can be guessed.</summary>
    public const int MinLength = 16;

    private const int MaxLength = 512;
    private const int MaxNameLength = 64;

    private ApiKey(string name, byte[] hash)
    {
        Name = name;
        Hash = hash;
    }

    /// <summary>Who bears it, as logs and metrics name them.</summary>
    public string Name { get; }

    /// <summary>Most requests a minute that generate or tokenise, in bursts of as many; null: no limit.</summary>
    public int? RequestsPerMinute { get; init => field = AtLeast1(value, nameof(RequestsPerMinute)); }

    /// <summary>Most such requests at a time; null: no limit.</summary>
    public int? MaxConcurrentRequests { get; init => field = AtLeast1(value, nameof(MaxConcurrentRequests)); }

    /// <summary>Keys of one group share the prefix cache; null: the key shares it with nobody.</summary>
    public string? CacheGroup { get; init => field = value is null ? null : ValidName(value, nameof(CacheGroup)); }

    /// <summary>SHA-256 of the key.</summary>
    internal byte[] Hash { get; }

    /// <summary>
    /// What requests of this key mix into the prefix cache: the same after a restart, and no help to somebody who knows only the name.
    /// </summary>
    internal string CacheSalt => Convert.ToHexString(SHA256.HashData(
        CacheGroup is null ? [.. "sluice-cache-key\0"u8, .. Hash] : [.. "sluice-cache-group\0"u8, .. Encoding.UTF8.GetBytes(CacheGroup)]));

    /// <summary>A key given as it is.</summary>
    /// <exception cref="ConfigurationException">The name or the key cannot be one; the message does not repeat the key.</exception>
    public static ApiKey Of(string name, string key)
    {
        ValidName(name, "name");
        if (key.Length is < MinLength or > MaxLength)
        {
            throw new ConfigurationException(
                $"API key '{name}': expected from {MinLength} to {MaxLength} characters, found {key.Length}; make one with: openssl rand -hex 24");
        }

        if (key.AsSpan().ContainsAnyExceptInRange('!', '~'))
            throw new ConfigurationException($"API key '{name}': expected printable ASCII without spaces; make one with: openssl rand -hex 24");
        return new ApiKey(name, HashOf(key));
    }

    /// <summary>A key given by its SHA-256 in hexadecimal, as <c>printf %s KEY | sha256sum</c> prints it.</summary>
    /// <exception cref="ConfigurationException">The name or the hash cannot be one.</exception>
    public static ApiKey OfSha256(string name, string hash)
    {
        ValidName(name, "name");
        return hash.Length == 2 * SHA256.HashSizeInBytes && hash.All(char.IsAsciiHexDigit)
            ? new ApiKey(name, Convert.FromHexString(hash))
            : throw new ConfigurationException($"API key '{name}': expected a SHA-256 of 64 hexadecimal digits; make it with: printf %s KEY | sha256sum");
    }

    /// <summary>SHA-256 of a key.</summary>
    internal static byte[] HashOf(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));

    private static string ValidName(string name, string field) =>
        name.Length is > 0 and <= MaxNameLength && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '@')
            ? name
            : throw new ConfigurationException($"API key {field}: expected 1 to {MaxNameLength} letters, digits or any of - _ . @");

    private int? AtLeast1(int? value, string field) => value is null or >= 1
        ? value
        : throw new ConfigurationException($"API key '{Name}': {field} must be at least 1, found {value}; leave it out for no limit");
}
