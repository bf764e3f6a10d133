using Sluice.Caching.Tree;

namespace Sluice.Engine;

/// <summary>What the prefix cache had of a prompt.</summary>
/// <param name="CachedTokens">Tokens that were not computed: their KV and the state after them were there.</param>
/// <param name="KvDepth">Tokens whose KV was there.</param>
/// <param name="KeyDepth">Tokens that had been seen before, whatever is left of them.</param>
/// <param name="Miss">Why <paramref name="CachedTokens"/> is not <paramref name="KeyDepth"/>.</param>
public readonly record struct PrefixUse(int CachedTokens, int KvDepth, int KeyDepth, MissReason Miss);
