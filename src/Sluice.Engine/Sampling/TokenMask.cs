using System.Numerics;

namespace Sluice.Engine.Sampling;

/// <summary>Takes tokens that a constraint does not allow out of the draw.</summary>
internal static class TokenMask
{
    /// <summary>
    /// Sets the logits, [vocabulary], of tokens whose bit in <paramref name="allowed"/> is not set, or that have none, to negative infinity.
    /// </summary>
    public static void Apply(Span<float> logits, ReadOnlySpan<ulong> allowed)
    {
        for (int word = 0; word < allowed.Length && word << 6 < logits.Length; word++)
        {
            Span<float> group = logits[(word << 6)..Math.Min((word + 1) << 6, logits.Length)];
            ulong denied = ~allowed[word];
            if (denied == ulong.MaxValue)
            {
                group.Fill(float.NegativeInfinity);
                continue;
            }

            for (; denied != 0 && BitOperations.TrailingZeroCount(denied) is var bit && bit < group.Length; denied &= denied - 1)
                group[bit] = float.NegativeInfinity;
        }

        if (allowed.Length << 6 < logits.Length)
            logits[(allowed.Length << 6)..].Fill(float.NegativeInfinity);
    }
}
