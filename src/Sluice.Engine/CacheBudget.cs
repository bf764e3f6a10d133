using Sluice.Core;

namespace Sluice.Engine;

/// <summary>How much memory KV pages and states get. What is not used by running requests keeps prefixes, so more is better.</summary>
public static class CacheBudget
{
    // Tokens below which a sequence is no use to anybody.
    private const int ShortConversation = 1024;

    private const long LeastMargin = 256L << 20;

    /// <summary>
    /// What was asked for, or else all that is free but an eighth, and at least 256 MiB, for everything else.
    /// </summary>
    /// <param name="geometry">How the device cuts memory for the model.</param>
    /// <param name="requested">Bytes asked for; 0 to decide here.</param>
    /// <param name="available">Bytes free once the weights are loaded.</param>
    /// <exception cref="ConfigurationException">Not even one short sequence fits; the message says what would.</exception>
    public static long Choose(MemoryGeometry geometry, long requested, long available)
    {
        ArgumentNullException.ThrowIfNull(geometry);
        long budget = requested > 0 ? requested : Default(available);
        long least = geometry.SuperblocksFor(geometry.PagesFor(ShortConversation), geometry.HasStates ? 1 : 0) * geometry.SuperblockBytes;
        if (budget < least)
        {
            throw new ConfigurationException(
                $"memory: one short sequence takes {least:N0} bytes of KV and state, and {Math.Max(0, budget):N0} are there; give --memory more or use a smaller model");
        }

        return budget;
    }

    /// <summary>What is taken when nothing is asked for, bytes; 0 when too little is free.</summary>
    public static long Default(long available) => Math.Max(0, available - Math.Max(LeastMargin, available / 8));
}
