using Sluice.Core;
using Sluice.Engine;
using Sluice.Engine.Sampling;

namespace Sluice.Server.Health;

/// <summary>
/// Proves that an idle engine would work: has it generate one token. Only when somebody asks, when nothing runs (a busy engine proves
/// itself by its steps), and when the last proof is old, so it disturbs nobody; those who ask meanwhile share the answer.
/// </summary>
internal sealed class SelfCheck
{
    private static readonly TimeSpan ProofLasts = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly InferenceEngine _engine;
    private readonly TimeProvider _clock;
    private readonly Lock _lock = new();
    private Task<bool>? _check;
    private long _checkedAt;

    public SelfCheck(InferenceEngine engine, TimeProvider clock)
    {
        _engine = engine;
        _clock = clock;
    }

    /// <summary>Whether the engine works, as far as one can tell without disturbing it.</summary>
    public Task<bool> PassesAsync()
    {
        lock (_lock)
        {
            bool isKnown = _check is { IsCompleted: false }
                || (_check is { IsCompletedSuccessfully: true, Result: true } && _clock.GetElapsedTime(_checkedAt) < ProofLasts);
            if (isKnown)
                return _check!;
            if (_engine.Status is { Running: > 0 } or { Waiting: > 0 })
                return Task.FromResult(true);
            _checkedAt = _clock.GetTimestamp();
            return _check = CheckAsync();
        }
    }

    private async Task<bool> CheckAsync()
    {
        using var limit = new CancellationTokenSource(Patience, _clock);
        try
        {
            GenerationStream stream = _engine.Submit(new GenerationRequest { Prompt = [0], MaxTokens = 1, Sampling = SamplingOptions.Greedy, CacheSalt = "sluice-self-check" }, limit.Token);
            Completion completion = await stream.Completion.WaitAsync(limit.Token);
            return completion.Reason is FinishReason.Stop or FinishReason.Length;
        }
        catch (EngineException e)
        {
            return e.Failure == EngineFailure.Overloaded;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }
}
