using Sluice.Caching.Tree;

namespace Sluice.Engine;

/// <summary>What the prefix cache had of a prompt.</summary>
/// <param name="CachedTokens">Tokens that were not computed: their KV and the state after them were there.</param>
/// <param name="KvDepth">Tokens whose KV was there.</param>
/// <param name="KeyDepth">Tokens that had been seen before, whatever is left of them.</param>
/// <param name="Miss">Why <paramref name="CachedTokens"/> is not <paramref name="KeyDepth"/>.</param>
public readonly record struct PrefixUse(int CachedTokens, int KvDepth, int KeyDepth, MissReason Miss)
{
    /// <summary>
    /// Tokens of the prompt up to the last place at which its state was kept while it was computed, so that others may continue there; 0 if
    /// none was. What the cache takes when the request ends, prompt and output as one, is not in it.
    /// </summary>
    public int KeptTokens { get; init; }
}
