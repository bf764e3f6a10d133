using Sluice.Core;

namespace Sluice.Models;

/// <summary>How much of a device a model takes, decided once at load.</summary>
public sealed record ModelOptions
{
    /// <summary>Most tokens a step may have; activations are allocated for as many rows.</summary>
    public int MaxStepTokens { get; init; } = 512;

    /// <summary>Most rows of a step whose logits may be asked for, [rows, vocabulary]; never more than <see cref="MaxStepTokens"/> are used.</summary>
    public int MaxLogitRows { get; init; } = 64;

    /// <summary>
    /// Bytes for KV pages and state slots, for whoever shares them out (<see cref="ILanguageModel.Caches"/>); 0 lays out
    /// <see cref="Pages"/> and <see cref="Slots"/> instead.
    /// </summary>
    public long CacheBytes { get; init; }

    /// <summary>KV pages of 16 tokens, numbered from 0, for uses without a cache.</summary>
    public int Pages { get; init; } = 256;

    /// <summary>State slots, numbered from 0, for uses without a cache: one for each live sequence and each kept state.</summary>
    public int Slots { get; init; } = 8;

    /// <summary>Threads that load tensors; 0 for one per core, 16 at most.</summary>
    public int LoadWorkers { get; init; }

    /// <summary>Checks every field.</summary>
    /// <exception cref="ConfigurationException">A field is out of range; the message names it.</exception>
    public void Validate()
    {
        AtLeast(1, MaxStepTokens, nameof(MaxStepTokens));
        AtLeast(1, MaxLogitRows, nameof(MaxLogitRows));
        if (CacheBytes < 0)
            throw new ConfigurationException($"{nameof(CacheBytes)}: expected 0 or more, found {CacheBytes}");
        AtLeast(1, Pages, nameof(Pages));
        AtLeast(1, Slots, nameof(Slots));
        AtLeast(0, LoadWorkers, nameof(LoadWorkers));
    }

    private static void AtLeast(int least, int value, string field)
    {
        if (value < least)
            throw new ConfigurationException($"{field}: expected {least} or more, found {value}");
    }
}
