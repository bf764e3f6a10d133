namespace Sluice.Text;

/// <summary>
/// Where the messages of a rendered prompt lie, in tokens. Only hints for caching: a wrong one costs memory or a hit, never a result.
/// </summary>
public sealed record PromptStructure
{
    private const string SystemRole = "system\n";
    private const string UserRole = "user\n";
    private const string ToolResult = "<tool_response>";

    // Tokens that begin a message, by template family.
    private static readonly string[] TurnTokens = ["<|im_start|>", "<|start_header_id|>", "<start_of_turn>"];

    /// <summary>
    /// Where messages begin, ascending, the generation prefix among them, but not the system prompt: it ends at the first of them, and
    /// there is none if that is 0.
    /// </summary>
    public IReadOnlyList<int> TurnStarts { get; init; } = [];

    /// <summary>Where the last message that a person wrote begins; 0 when there is none. Templates strip old thinking before it.</summary>
    public int LastUserTurn { get; init; }

    /// <summary>Where the header of the answer to come begins; null when there is none.</summary>
    public int? GenerationPrefix { get; init; }

    /// <summary>Ends of what the client asked to be cached, ascending.</summary>
    public IReadOnlyList<int> Breakpoints { get; init; } = [];

    /// <summary>Finds the messages of a prompt that a chat template has rendered, by the token that begins them.</summary>
    /// <param name="prompt">Token ids.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="hasGenerationPrefix">Whether the prompt ends with the header of the answer.</param>
    /// <returns>The structure; null when no message was found.</returns>
    public static PromptStructure? Find(ReadOnlySpan<int> prompt, Tokenizer tokenizer, bool hasGenerationPrefix = true)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        foreach (string name in TurnTokens)
        {
            if (tokenizer.TryGetId(name, out int turn) && prompt.Contains(turn))
                return Find(prompt, turn, tokenizer, hasGenerationPrefix);
        }

        return null;
    }

    private static PromptStructure Find(ReadOnlySpan<int> prompt, int turn, Tokenizer tokenizer, bool hasGenerationPrefix)
    {
        List<int> starts = [];
        int lastUser = 0, last = 0;
        for (int at = prompt.IndexOf(turn); at >= 0;)
        {
            string head = Head(prompt[(at + 1)..], tokenizer);
            if (at > 0 || !head.StartsWith(SystemRole, StringComparison.Ordinal))
                starts.Add(at);
            if (IsUser(head))
                lastUser = at;
            last = at;
            int next = prompt[(at + 1)..].IndexOf(turn);
            at = next < 0 ? -1 : at + 1 + next;
        }

        return new PromptStructure
        {
            TurnStarts = starts,
            LastUserTurn = lastUser,
            GenerationPrefix = hasGenerationPrefix ? last : null,
        };
    }

    private static string Head(ReadOnlySpan<int> message, Tokenizer tokenizer) => tokenizer.Decode(message[..Math.Min(message.Length, 16)]);

    /// <summary>Whether a person wrote the message: results of tools come under the same role.</summary>
    private static bool IsUser(string head) => head.StartsWith(UserRole, StringComparison.Ordinal)
        && !head.AsSpan(UserRole.Length).StartsWith(ToolResult, StringComparison.Ordinal);
}
