namespace Sluice.Text.Output;

/// <summary>The tags of all forms. Each begins with '&lt;' and has no other, which <see cref="TagMatcher"/> rests on.</summary>
internal static class Tags
{
    public const string Think = "<think>";
    public const string ThinkEnd = "</think>";
    public const string ToolCall = "<tool_call>";
    public const string ToolCallEnd = "</tool_call>";
    public const string Function = "<function=";
    public const string FunctionEnd = "</function>";
    public const string Parameter = "<parameter=";
    public const string ParameterEnd = "</parameter>";
}

/// <summary>What a character did to the tag that may be in the making.</summary>
internal enum TagMatch
{
    /// <summary>It belongs to no tag; what was held before it is no tag either.</summary>
    None,

    /// <summary>It is held: together with what came before it may still become a tag.</summary>
    Partial,

    /// <summary>It completes <see cref="TagMatcher.Held"/>.</summary>
    Full,
}

/// <summary>Recognises one of a few tags in text that comes character by character.</summary>
internal struct TagMatcher
{
    private string? _candidate;
    private int _length;

    /// <summary>What is held: a beginning of a tag, or a whole one after <see cref="TagMatch.Full"/>.</summary>
    public readonly ReadOnlySpan<char> Held => _candidate.AsSpan(0, _length);

    public readonly bool IsEmpty => _length == 0;

    public TagMatch Append(char c, ReadOnlySpan<string> tags)
    {
        // Once something is held the first test is nearly always decisive.
        foreach (string tag in tags)
        {
            if (tag.Length > _length && tag[_length] == c && tag.AsSpan(0, _length).SequenceEqual(Held))
            {
                _candidate = tag;
                return ++_length == tag.Length ? TagMatch.Full : TagMatch.Partial;
            }
        }

        return TagMatch.None;
    }

    /// <summary>Takes what is held and begins anew.</summary>
    public string Take()
    {
        string held = Held.ToString();
        _length = 0;
        return held;
    }
}
