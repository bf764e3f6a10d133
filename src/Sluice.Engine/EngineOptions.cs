using Sluice.Caching.Sequences;
using Sluice.Core;

namespace Sluice.Engine;

/// <summary>How the engine schedules. Values are checked when they are set.</summary>
public sealed record EngineOptions
{
    /// <summary>
    /// Most tokens of a step in which somebody decodes: each decoding sequence takes one, prefill chunks share the rest. Larger steps prefill faster and make
    /// the decoding sequences wait longer for their next token. The model may allow fewer. Default 512.
    /// </summary>
    public int StepTokens { get; init => field = AtLeast(1, value, nameof(StepTokens)); } = 512;

    /// <summary>
    /// Most tokens of a step of prompts alone, which keeps nobody waiting for his next token; not less than <see cref="StepTokens"/>. The model may allow
    /// fewer; null: as <see cref="StepTokens"/>. Default null.
    /// </summary>
    public int? PromptStepTokens { get; init => field = value is { } limit ? AtLeast(1, limit, nameof(PromptStepTokens)) : null; }

    /// <summary>Most sequences that run at a time; null: as many as the model's memory and step allow. Default null.</summary>
    public int? MaxRunning { get; init => field = value is { } limit ? AtLeast(1, limit, nameof(MaxRunning)) : null; }

    /// <summary>
    /// Most requests accepted beyond those that can run at a time; one more is refused as <see cref="EngineFailure.Overloaded"/>.
    /// Default 1024.
    /// </summary>
    public int MaxQueued { get; init => field = AtLeast(1, value, nameof(MaxQueued)); } = 1024;

    /// <summary>The prefix cache; nothing in it needs setting.</summary>
    public PrefixCacheOptions Cache { get; init; } = new();

    /// <summary>How long disposing the engine lets accepted requests finish before it cancels them. Default 30 seconds.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(30);

    private static int AtLeast(int least, int value, string name) => value >= least
        ? value
        : throw new ConfigurationException($"{name} must be at least {least}, found {value}");
}
