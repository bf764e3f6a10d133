namespace Sluice.Engine;

/// <summary>What an engine is doing: figures read one by one while it runs, for health checks and displays.</summary>
/// <param name="Accepting">Whether it takes requests: false when it is draining, has stopped or has failed.</param>
/// <param name="Running">Sequences that take part in steps.</param>
/// <param name="Waiting">Requests that wait.</param>
/// <param name="Steps">Steps made since the start.</param>
/// <param name="OutputTokens">Tokens generated since the start.</param>
/// <param name="Preemptions">Sequences put back to wait for memory or for higher priorities, since the start.</param>
/// <param name="Times">Where the time of all steps went.</param>
/// <param name="Cache">Memory and prefix cache.</param>
public readonly record struct EngineStatus(
    bool Accepting, int Running, int Waiting, long Steps, long OutputTokens, long Preemptions, EngineTimes Times, CacheUse Cache);

/// <summary>Where the time of all steps since the start went.</summary>
/// <param name="Steps">All of it.</param>
/// <param name="Model">The forward passes.</param>
/// <param name="Sampling">Reading logits and choosing tokens.</param>
public readonly record struct EngineTimes(TimeSpan Steps, TimeSpan Model, TimeSpan Sampling)
{
    /// <summary>What is left: scheduling, cache, copies, commit, publishing.</summary>
    public TimeSpan Engine => Steps - Model - Sampling;
}
