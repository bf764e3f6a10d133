using Sluice.Backends;
using Sluice.Core;

namespace Sluice.Engine;

/// <summary>How many KV pages and state slots a model gets out of a budget of memory.</summary>
/// <param name="Pages">KV pages of <see cref="KvCache.PageTokens"/> tokens, for all sequences together.</param>
/// <param name="Slots">State slots: sequences that can run at a time.</param>
/// <param name="Bytes">What both take.</param>
public sealed record MemoryPlan(int Pages, int Slots, long Bytes)
{
    /// <summary>
    /// Gives every sequence a slot, and pages to all of them up to the model's own length, as far as the budget reaches. Fewer
    /// sequences are planned before any is left without room for a short conversation.
    /// </summary>
    /// <param name="config">The model.</param>
    /// <param name="budget">Bytes for pages and slots.</param>
    /// <param name="sequences">Sequences wanted at a time.</param>
    /// <param name="elementBytes">Bytes of a KV element on the device.</param>
    /// <exception cref="ConfigurationException">Not even one sequence fits; the message says what would.</exception>
    public static MemoryPlan Create(ModelConfig config, long budget, int sequences, int elementBytes = sizeof(float))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(sequences);
        long page = PageBytes(config, elementBytes);
        long slot = SlotBytes(config);
        long pagesOfSequence = (config.MaxPositions + KvCache.PageTokens - 1) / KvCache.PageTokens;
        long fewest = Math.Min(pagesOfSequence, ShortConversation / KvCache.PageTokens);
        long least = checked(slot + (fewest * page));
        if (budget < least)
            throw new ConfigurationException($"memory: one short sequence takes {least:N0} bytes of KV and state, and {Math.Max(0, budget):N0} are free; give --memory more or use a smaller model");

        int slots = (int)Math.Clamp(budget / least, 1, sequences);
        long free = budget - (slots * slot);
        long pages = page == 0 ? pagesOfSequence * slots : Math.Min(pagesOfSequence * slots, free / page);
        pages = Math.Min(pages, int.MaxValue);
        return new MemoryPlan((int)pages, slots, (pages * page) + (slots * slot));
    }

    /// <summary>Bytes of a KV page over all full-attention layers.</summary>
    public static long PageBytes(ModelConfig config, int elementBytes = sizeof(float)) => checked(
        (long)KvCache.PageTokens * 2 * config.Attention.KvHeads * config.Attention.HeadDim * elementBytes
        * config.Layers.Count(kind => kind == LayerKind.FullAttention));

    /// <summary>Bytes of a sequence's recurrent and convolution state over all linear-attention layers, float32.</summary>
    public static long SlotBytes(ModelConfig config) => config.LinearAttention is not { } shape
        ? 0
        : checked((long)(shape.StateElements + shape.ConvStateElements) * sizeof(float) * config.Layers.Count(kind => kind == LayerKind.LinearAttention));

    // Tokens below which a sequence is no use to anybody.
    private const long ShortConversation = 1024;
}
