namespace Sluice.Text.Tokenization;

/// <summary>One rule of byte-pair encoding: <paramref name="Left"/> followed by <paramref name="Right"/> becomes <paramref name="Product"/>. All are ids.</summary>
internal readonly record struct Merge(int Left, int Right, int Product);
