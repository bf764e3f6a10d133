namespace Sluice.Engine;

/// <summary>What an engine is doing: figures read one by one while it runs, for health checks and displays.</summary>
/// <param name="Accepting">Whether it takes requests: false when it is draining, has stopped or has failed.</param>
/// <param name="Running">Sequences that take part in steps.</param>
/// <param name="Waiting">Requests that wait.</param>
/// <param name="Steps">Steps made since the start.</param>
/// <param name="Preemptions">Sequences put back to wait for memory or for higher priorities, since the start.</param>
/// <param name="Cache">Memory and prefix cache.</param>
public readonly record struct EngineStatus(bool Accepting, int Running, int Waiting, long Steps, long Preemptions, CacheUse Cache);
