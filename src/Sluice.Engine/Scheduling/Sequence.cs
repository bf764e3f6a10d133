using Sluice.Backends;
using Sluice.Engine.Sampling;

namespace Sluice.Engine.Scheduling;

/// <summary>Where a sequence is in its life. A preempted one goes back to <see cref="Waiting"/>.</summary>
internal enum SequenceStatus
{
    /// <summary>On its way to the engine thread.</summary>
    Submitted,

    /// <summary>Known, and without memory.</summary>
    Waiting,

    /// <summary>Holds memory and takes part in steps.</summary>
    Running,

    /// <summary>Its terminal event is out and its memory is back.</summary>
    Finished,
}

/// <summary>One request on the engine thread: its tokens, the memory it holds, how far that memory is computed.</summary>
internal sealed class Sequence
{
    private int[] _tokens;

    public Sequence(long arrival, GenerationRequest request, int maxLength, ulong seed, GenerationStream stream)
    {
        Arrival = arrival;
        PromptLength = request.Prompt.Count;
        MaxLength = maxLength;
        StopTokens = [.. request.StopTokens];
        Stream = stream;

        _tokens = new int[Math.Min(maxLength, PromptLength + 256)];
        for (int i = 0; i < PromptLength; i++)
            _tokens[i] = request.Prompt[i];
        Length = PromptLength;
        Sampling = new SequenceSampling(request.Sampling, seed, Tokens);

        // The last token of the output is never run through the model, so it needs no place.
        PageTable = new int[PagesFor(maxLength - 1)];
    }

    /// <summary>Place in the order of submission; nobody older is ever made to wait for somebody younger.</summary>
    public long Arrival { get; }

    public int PromptLength { get; }

    /// <summary>Tokens of prompt and output at which it ends.</summary>
    public int MaxLength { get; }

    public int[] StopTokens { get; }

    public SequenceSampling Sampling { get; }

    public GenerationStream Stream { get; }

    public SequenceStatus Status { get; set; }

    /// <summary>Tokens of prompt and output so far.</summary>
    public int Length { get; private set; }

    /// <summary>Prompt and output so far, [Length].</summary>
    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, Length);

    /// <summary>Tokens whose keys, values and state its memory holds; the state is valid at exactly this position.</summary>
    public int Computed { get; set; }

    /// <summary>Tokens that the model has yet to see. One: the next step is a decode.</summary>
    public int Remaining => Length - Computed;

    public int OutputLength => Length - PromptLength;

    /// <summary>KV page of each 16 positions; the first <see cref="PageCount"/> are its own.</summary>
    public int[] PageTable { get; }

    public int PageCount { get; set; }

    /// <summary>Slot of its live state, or -1.</summary>
    public int StateSlot { get; set; } = -1;

    /// <summary>Whether the caller gave up before the engine thread knew the sequence.</summary>
    public bool CancelRequested { get; set; }

    public CancellationTokenRegistration Registration { get; set; }

    /// <summary>Timestamp of the engine's clock, as the next two.</summary>
    public long SubmittedAt { get; init; }

    /// <summary>First admission; null before it.</summary>
    public long? AdmittedAt { get; set; }

    /// <summary>First token; null before it.</summary>
    public long? FirstTokenAt { get; set; }

    /// <summary>KV pages that <paramref name="tokens"/> tokens take.</summary>
    public static int PagesFor(int tokens) => (tokens + KvCache.PageTokens - 1) / KvCache.PageTokens;

    public void Append(int token)
    {
        if (Length == _tokens.Length)
            Array.Resize(ref _tokens, Math.Min(MaxLength, 2 * Length));
        _tokens[Length++] = token;
        Sampling.Accept(token);
    }
}
