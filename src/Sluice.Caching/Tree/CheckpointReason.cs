namespace Sluice.Caching.Tree;

/// <summary>Why a checkpoint is worth having, most important first: the order in which they are kept when slots are few.</summary>
public enum CheckpointReason : byte
{
    /// <summary>The end of the prompt: the same prompt again, or the next turn.</summary>
    PromptEnd,

    /// <summary>The end of the system prompt and tools: every other conversation.</summary>
    SystemEnd,

    /// <summary>Where this prompt leaves what was seen before: the third of its kind will reuse it.</summary>
    Branch,

    /// <summary>The start of the last user turn: another question in its place.</summary>
    LastUserTurn,

    /// <summary>The end of the last user turn, when others follow: thinking after it is stripped when the next one comes.</summary>
    LastUserTurnEnd,

    /// <summary>Asked for by the client.</summary>
    Breakpoint,

    /// <summary>The start of another turn, in a long span, while memory is free.</summary>
    Turn,

    /// <summary>Inside a long span, while memory is free.</summary>
    Interior,

    /// <summary>The end of a sequence, whose live state was given to the tree.</summary>
    OutputEnd,
}
