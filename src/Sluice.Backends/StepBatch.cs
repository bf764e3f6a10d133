namespace Sluice.Backends;

/// <summary>Which of a span's tokens need logits.</summary>
public enum LogitsWanted
{
    /// <summary>None: a prefill chunk that is not the last.</summary>
    None,

    /// <summary>The span's last token.</summary>
    Last,

    /// <summary>Every token of the span.</summary>
    All,
}

/// <summary>
/// One sequence's part of a step: tokens at consecutive positions, in consecutive rows of the flat batch. A span of one token is
/// a decode, a longer one a prefill chunk; nothing else distinguishes them.
/// </summary>
/// <param name="FirstRow">Row of the span's first token in the flat batch.</param>
/// <param name="Count">Tokens in the span.</param>
/// <param name="FirstPosition">
/// Position of the first token in its sequence. At 0 the recurrent state starts from zero whatever the slot holds.
/// </param>
/// <param name="StateSlot">Slot of the live recurrent state: read at the start (unless position 0), written at the end.</param>
/// <param name="PageTable">KV page of each 16 positions; covers at least <c>FirstPosition + Count</c> tokens.</param>
/// <param name="FirstExport">Index of the span's first entry in <see cref="StepBatch.Exports"/>.</param>
/// <param name="ExportCount">Entries of the span there.</param>
public readonly record struct SequenceSpan(
    int FirstRow, int Count, int FirstPosition, int StateSlot, int[] PageTable, int FirstExport, int ExportCount)
{
    /// <summary>Whether it is a row that belongs to nobody (<see cref="StepBatch.AddPadding"/>).</summary>
    public bool IsPadding => StateSlot < 0 && PageTable.Length == 0;
}

/// <summary>Asks that the recurrent and convolution state after the first <paramref name="Length"/> tokens of a span be written to a slot too.</summary>
/// <param name="Length">Tokens of the span consumed, from 1 to the span's count; ascending within a span.</param>
/// <param name="Slot">Target slot; never one that another span of the step reads or writes.</param>
public readonly record struct StateExport(int Length, int Slot);

/// <summary>
/// What one forward pass computes: a flat batch of any mix of prefill chunks and decodes. Built by the engine, read by models and
/// backends, reused from step to step without allocating.
/// </summary>
public sealed class StepBatch
{
    private readonly int[] _tokens;
    private readonly int[] _positions;
    private readonly List<SequenceSpan> _sequences = [];
    private readonly List<StateExport> _exports = [];
    private readonly List<int> _logitRows = [];

    /// <summary>Creates a batch for at most <paramref name="maxTokens"/> tokens a step.</summary>
    public StepBatch(int maxTokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxTokens);
        _tokens = new int[maxTokens];
        _positions = new int[maxTokens];
    }

    /// <summary>Most tokens a step may have.</summary>
    public int MaxTokens => _tokens.Length;

    /// <summary>Tokens in this step: the rows of every activation.</summary>
    public int TokenCount { get; private set; }

    /// <summary>Token ids, [tokens].</summary>
    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, TokenCount);

    /// <summary>Position of each token in its sequence, [tokens].</summary>
    public ReadOnlySpan<int> Positions => _positions.AsSpan(0, TokenCount);

    /// <summary>The sequences, in row order.</summary>
    public ReadOnlySpan<SequenceSpan> Sequences => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_sequences);

    /// <summary>State exports of all sequences; each span says which are its own.</summary>
    public ReadOnlySpan<StateExport> Exports => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_exports);

    /// <summary>Rows whose logits are wanted, ascending.</summary>
    public ReadOnlySpan<int> LogitRows => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_logitRows);

    /// <summary>
    /// What sampling will need of the first of those rows, as many as it asks for: a device that can finds it within the step (<see cref="IBackend.Shortlist"/>).
    /// Null where nothing is asked.
    /// </summary>
    public LogitShortlists? Shortlists { get; set; }

    /// <summary>Empties the batch.</summary>
    public void Clear()
    {
        TokenCount = 0;
        Shortlists = null;
        _sequences.Clear();
        _exports.Clear();
        _logitRows.Clear();
    }

    /// <summary>Adds a sequence's next <paramref name="tokens"/>; returns its index in <see cref="Sequences"/>.</summary>
    /// <exception cref="ArgumentException">The tokens do not fit the step, or the page table does not cover them.</exception>
    public int Add(
        ReadOnlySpan<int> tokens,
        int firstPosition,
        int stateSlot,
        int[] pageTable,
        LogitsWanted logits,
        ReadOnlySpan<StateExport> exports = default)
    {
        if (tokens.IsEmpty || tokens.Length > MaxTokens - TokenCount)
            throw new ArgumentException($"a span of {tokens.Length} tokens does not fit: {TokenCount} of {MaxTokens} are taken", nameof(tokens));
        ArgumentOutOfRangeException.ThrowIfNegative(firstPosition);
        if (pageTable.Length < (firstPosition + tokens.Length + KvCache.PageTokens - 1) / KvCache.PageTokens)
            throw new ArgumentException($"a page table of {pageTable.Length} pages does not cover {firstPosition + tokens.Length} tokens", nameof(pageTable));
        int previous = 0;
        foreach (StateExport export in exports)
        {
            if (export.Length <= previous || export.Length > tokens.Length)
                throw new ArgumentException($"exports must ascend from 1 to {tokens.Length}, found {export.Length} after {previous}", nameof(exports));
            previous = export.Length;
        }

        int row = TokenCount;
        tokens.CopyTo(_tokens.AsSpan(row));
        for (int i = 0; i < tokens.Length; i++)
            _positions[row + i] = firstPosition + i;
        TokenCount += tokens.Length;

        _sequences.Add(new SequenceSpan(row, tokens.Length, firstPosition, stateSlot, pageTable, _exports.Count, exports.Length));
        _exports.AddRange(exports);
        if (logits == LogitsWanted.All)
        {
            for (int i = 0; i < tokens.Length; i++)
                _logitRows.Add(row + i);
        }
        else if (logits == LogitsWanted.Last)
        {
            _logitRows.Add(TokenCount - 1);
        }

        return _sequences.Count - 1;
    }

    /// <summary>
    /// Adds a row that belongs to nobody, to bring a batch to a size that a device has recorded: token 0 at position 0, no pages, slot -1, logits
    /// wanted. Operations compute something for it and keep nothing.
    /// </summary>
    /// <exception cref="InvalidOperationException">The batch is full.</exception>
    public void AddPadding()
    {
        if (TokenCount == MaxTokens)
            throw new InvalidOperationException($"all {MaxTokens} rows are taken");
        _tokens[TokenCount] = 0;
        _positions[TokenCount] = 0;
        _sequences.Add(new SequenceSpan(TokenCount, 1, 0, -1, [], _exports.Count, 0));
        _logitRows.Add(TokenCount++);
    }
}
