using Sluice.Caching.Planning;
using Sluice.Caching.Sequences;
using Sluice.Constraints;
using Sluice.Engine.Sampling;
using Sluice.Text;

namespace Sluice.Engine.Scheduling;

/// <summary>Where a sequence is in its life. A preempted one goes back to <see cref="Waiting"/>.</summary>
internal enum SequenceStatus
{
    /// <summary>On its way to the engine thread.</summary>
    Submitted,

    /// <summary>Another choice of a request whose first choice computes the prompt for all.</summary>
    Following,

    /// <summary>Known, and without memory.</summary>
    Waiting,

    /// <summary>Holds memory and takes part in steps.</summary>
    Running,

    /// <summary>Its terminal event is out and its memory is back.</summary>
    Finished,
}

/// <summary>One choice of a request on the engine thread: its tokens, the memory it holds, how far that memory is computed.</summary>
internal sealed class Sequence
{
    private int[] _tokens;
    private int _nextPlanned;

    public Sequence(long arrival, GenerationRequest request, int maxLength, ulong seed, GenerationStream stream)
    {
        Arrival = arrival;
        PromptLength = request.Prompt.Count;
        MaxLength = maxLength;
        Priority = request.Priority;
        CacheSalt = request.CacheSalt;
        Client = request.Client;
        Structure = request.Structure;
        StopTokens = [.. request.StopTokens];
        Matcher = request.Constraint?.CreateMatcher();
        Stream = stream;

        _tokens = new int[Math.Min(maxLength, PromptLength + 256)];
        for (int i = 0; i < PromptLength; i++)
            _tokens[i] = request.Prompt[i];
        Length = PromptLength;
        Sampling = new SequenceSampling(request.Sampling, seed, Tokens);
    }

    /// <summary>Place in the order of submission.</summary>
    public long Arrival { get; }

    public int Priority { get; }

    /// <summary>Whose turn it is, by <see cref="FairClock"/>.</summary>
    public double Turn { get; set; }

    public string CacheSalt { get; }

    public string Client { get; }

    public PromptStructure? Structure { get; }

    public int PromptLength { get; }

    /// <summary>Tokens of prompt and output at which it ends.</summary>
    public int MaxLength { get; }

    public int[] StopTokens { get; }

    public SequenceSampling Sampling { get; }

    /// <summary>What the output must look like, at where it is; null for no constraint.</summary>
    public ConstraintMatcher? Matcher { get; }

    public GenerationStream Stream { get; }

    public SequenceStatus Status { get; set; }

    /// <summary>The request's other choices, until the prompt is computed; null when there are none.</summary>
    public List<Sequence>? Followers { get; set; }

    /// <summary>The first choice, while this one follows.</summary>
    public Sequence? Leader { get; set; }

    /// <summary>Tokens of prompt and output so far.</summary>
    public int Length { get; private set; }

    /// <summary>Prompt and output so far, [Length].</summary>
    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, Length);

    /// <summary>Its pages and state while it runs.</summary>
    public SequenceMemory? Memory { get; set; }

    /// <summary>Tokens whose keys, values and state its memory holds; the state is valid at exactly this position.</summary>
    public int Computed => Memory?.Computed ?? 0;

    /// <summary>What the step being planned or run will make of <see cref="Computed"/>.</summary>
    public int ComputedAfterStep { get; set; }

    /// <summary>Tokens that the model has yet to see. One: the next step is a decode.</summary>
    public int Remaining => Length - Computed;

    public int OutputLength => Length - PromptLength;

    /// <summary>Positions at which its state is to be exported, ascending; those before <see cref="TryTakePlanned"/>'s next are done.</summary>
    public List<PlannedCheckpoint> Plan { get; } = [];

    /// <summary>Somebody who computes a part of this prompt, worth waiting for; null when there is nobody.</summary>
    public Sequence? Provider { get; set; }

    /// <summary>How far <see cref="Provider"/> must come.</summary>
    public int ProvidedAt { get; set; }

    /// <summary>What the cache had of the prompt at the first admission.</summary>
    public PrefixUse Prefix { get; set; }

    /// <summary>Whether the caller gave up before the engine thread knew the sequence.</summary>
    public bool CancelRequested { get; set; }

    public CancellationTokenRegistration Registration { get; set; }

    /// <summary>Timestamp of the engine's clock, as the next two.</summary>
    public long SubmittedAt { get; init; }

    /// <summary>First admission; null before it.</summary>
    public long? AdmittedAt { get; set; }

    /// <summary>First token; null before it.</summary>
    public long? FirstTokenAt { get; set; }

    /// <summary>The order of service: higher priorities first, then by turn, then by arrival. Total.</summary>
    public static int Compare(Sequence a, Sequence b)
    {
        int byPriority = b.Priority.CompareTo(a.Priority);
        if (byPriority != 0)
            return byPriority;
        int byTurn = a.Turn.CompareTo(b.Turn);
        return byTurn != 0 ? byTurn : a.Arrival.CompareTo(b.Arrival);
    }

    public void Append(int token)
    {
        if (Length == _tokens.Length)
            Array.Resize(ref _tokens, Math.Min(MaxLength, 2 * Length));
        _tokens[Length++] = token;
        Sampling.Accept(token);
    }

    /// <summary>A new plan is in <see cref="Plan"/>.</summary>
    public void StartPlan() => _nextPlanned = 0;

    /// <summary>The next planned position up to <paramref name="end"/>.</summary>
    public bool TryTakePlanned(int end, out PlannedCheckpoint planned)
    {
        if (_nextPlanned < Plan.Count && Plan[_nextPlanned].Position <= end)
        {
            planned = Plan[_nextPlanned++];
            return true;
        }

        planned = default;
        return false;
    }

    /// <summary>
    /// The deepest planned position up to <paramref name="limit"/> that its memory has not come past; 0 if there is none.
    /// </summary>
    public int DeepestPlanned(int limit)
    {
        for (int i = Plan.Count - 1; i >= 0 && Plan[i].Position > Computed; i--)
        {
            if (Plan[i].Position <= limit)
                return Plan[i].Position;
        }

        return 0;
    }

    /// <summary>Adds a position beyond what the step will compute, unless one is near.</summary>
    public void AddPlanned(PlannedCheckpoint added, int nearest)
    {
        int at = Plan.Count;
        while (at > _nextPlanned && Plan[at - 1].Position > added.Position)
            at--;
        bool isNear = (at > 0 && added.Position - Plan[at - 1].Position < nearest) || (at < Plan.Count && Plan[at].Position == added.Position);
        if (!isNear)
            Plan.Insert(at, added);
    }
}
