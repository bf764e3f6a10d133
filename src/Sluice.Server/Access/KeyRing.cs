using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using Sluice.Core;

namespace Sluice.Server.Access;

/// <summary>All keys, and who the bearer of one is.</summary>
internal sealed class KeyRing : IDisposable
{
    private readonly byte[][] _hashes;
    private readonly Client[] _clients;

    public KeyRing(IReadOnlyList<ApiKey> keys)
    {
        RefuseDuplicates(keys);
        _hashes = [.. keys.Select(key => key.Hash)];
        _clients = [.. keys.Select(key => new Client(key))];
    }

    /// <summary>Whether anybody may come in without a key.</summary>
    public bool IsOpen => _clients.Length == 0;

    /// <summary>Finds who bears the key of a request; null when it has none, or none that is known.</summary>
    public Client? Find(IHeaderDictionary headers)
    {
        if (Presented(headers) is not { } key)
            return null;

        // Every hash is compared in full whatever matched before, so time tells nothing about any of them.
        byte[] hash = ApiKey.HashOf(key);
        int found = -1;
        for (int i = 0; i < _hashes.Length; i++)
        {
            if (CryptographicOperations.FixedTimeEquals(hash, _hashes[i]))
                found = i;
        }

        return found < 0 ? null : _clients[found];
    }

    public void Dispose()
    {
        foreach (Client client in _clients)
            client.Dispose();
    }

    /// <summary>The key as <c>Authorization: Bearer</c>, or else as Anthropic's <c>x-api-key</c>. A header that repeats is none.</summary>
    private static string? Presented(IHeaderDictionary headers)
    {
        const string Scheme = "Bearer ";
        StringValues authorization = headers.Authorization;
        if (authorization.Count == 1 && authorization[0]!.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase))
            return authorization[0]![Scheme.Length..].Trim(' ');
        StringValues apiKey = headers["x-api-key"];
        return authorization.Count == 0 && apiKey.Count == 1 ? apiKey[0] : null;
    }

    private static void RefuseDuplicates(IReadOnlyList<ApiKey> keys)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        var hashes = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (ApiKey key in keys)
        {
            if (!names.Add(key.Name))
                throw new ConfigurationException($"there are several API keys named '{key.Name}': give each a name of its own");
            if (!hashes.TryAdd(Convert.ToHexString(key.Hash), key.Name))
                throw new ConfigurationException($"the API keys '{hashes[Convert.ToHexString(key.Hash)]}' and '{key.Name}' are the same key: remove one");
        }
    }
}
