using Sluice.Backends;
using Sluice.Core;

namespace Sluice.Models;

/// <summary>
/// A loaded model as the engine sees it: it runs steps over KV pages and state slots that the engine hands out, and knows nothing
/// of requests. Used by one thread.
/// </summary>
public interface ILanguageModel : IDisposable
{
    /// <summary>What the model is.</summary>
    ModelConfig Config { get; }

    /// <summary>Most tokens a step may have.</summary>
    int MaxStepTokens { get; }

    /// <summary>Most rows of a step whose logits may be asked for.</summary>
    int MaxLogitRows { get; }

    /// <summary>KV pages and state slots.</summary>
    CacheArena Caches { get; }

    /// <summary>Whether <see cref="Forward"/> returns before the step is computed; then whatever needs its results waits for it.</summary>
    bool IsQueued => false;

    /// <summary>Runs one step: all layers over the flat batch, leaving logits for <see cref="StepBatch.LogitRows"/>.</summary>
    void Forward(StepBatch batch);

    /// <summary>Copies the logits, [vocabulary], of the last step's <c>LogitRows[index]</c>.</summary>
    void ReadLogits(int index, Span<float> logits);

    /// <summary>
    /// Fills in the shortlists that the last step's batch asked for (<see cref="StepBatch.Shortlists"/>); false where the backend has none, and
    /// <see cref="ReadLogits"/> is as good.
    /// </summary>
    bool TryReadShortlists(LogitShortlists lists) => false;
}
