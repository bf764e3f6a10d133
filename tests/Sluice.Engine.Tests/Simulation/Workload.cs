using Sluice.Engine.Sampling;
using Sluice.Text;

namespace Sluice.Engine.Tests.Simulation;

/// <summary>
/// Random requests that share what real ones share: system prompts, earlier turns with their answers, whole prompts, edits in the
/// middle; under several salts, clients and priorities, some for several choices.
/// </summary>
internal sealed class Workload(Random random, bool hasState, Func<ulong, bool> poison)
{
    public const int Vocabulary = 61;

    private const int MaxPrompt = 200;
    private const int MaxOutput = 60;

    private readonly List<int[]> _systems = [.. Enumerable.Range(0, 3).Select(_ => Tokens(random, random.Next(1, 80)))];
    private readonly List<SimulatedRequest> _made = [];
    private readonly int _salts = random.Next(1, 4);
    private readonly int _clients = random.Next(1, 4);
    private readonly bool _hasPriorities = random.Next(3) == 0;
    private readonly bool _areConversations = random.Next(4) != 0;

    public SimulatedRequest Next(int ticks)
    {
        int[] prompt = Prompt();
        int choiceCount = random.Next(8) == 0 ? random.Next(2, 5) : 1;
        var sampling = random.Next(3) switch
        {
            0 => SamplingOptions.Greedy,
            1 => new SamplingOptions { Temperature = 1.2f, TopK = 5 },
            _ => new SamplingOptions { Temperature = 0.8f, TopP = 0.7f, RepetitionPenalty = 1.1f, PresencePenalty = 0.4f },
        };
        var request = new GenerationRequest
        {
            Prompt = prompt,
            MaxTokens = random.Next(3) == 0 ? random.Next(1, MaxOutput + 1) : random.Next(1, 12),
            Sampling = sampling with { Seed = random.Next(), TopLogprobs = random.Next(4) == 0 ? 2 : null },
            StopTokens = random.Next(2) == 0 ? [random.Next(Vocabulary)] : [],
            CacheSalt = $"salt {random.Next(_salts)}",
            Client = $"client {random.Next(_clients)}",
            Priority = _hasPriorities ? random.Next(3) : 0,
            Structure = random.Next(2) == 0 ? Structure(prompt.Length) : null,
        };
        var made = new SimulatedRequest
        {
            Id = _made.Count,
            Request = request,
            Choices =
            [
                .. Enumerable.Range(0, choiceCount).Select(
                    i => SimulatedChoice.Of(request, i, choiceCount > 1 && random.Next(4) == 0 ? random.Next(0, 20) : null, hasState, poison)),
            ],
            ArrivesAt = random.Next(ticks),
            CancelAfter = random.Next(6) == 0 ? random.Next(0, 25) : null,
            ReaderStalls = random.Next(8) == 0,
        };
        _made.Add(made);
        return made;
    }

    private static int[] Tokens(Random random, int count)
    {
        int[] tokens = new int[count];
        foreach (ref int token in tokens.AsSpan())
            token = random.Next(Vocabulary);
        return tokens;
    }

    private int[] Prompt()
    {
        int[] tail = Tokens(random, random.Next(5) == 0 ? random.Next(1, MaxPrompt) : random.Next(1, 25));
        if (!_areConversations || _made.Count == 0)
            return tail;
        SimulatedRequest earlier = _made[random.Next(_made.Count)];
        int[] before = [.. earlier.Request.Prompt];
        int[] prompt = random.Next(6) switch
        {
            0 => tail,
            1 => [.. _systems[random.Next(_systems.Count)], .. tail],
            2 or 3 => [.. before, .. earlier.Choices[random.Next(earlier.Choices.Length)].Expected, .. tail],
            4 => before,
            _ => [.. before[..random.Next(before.Length + 1)], .. tail],
        };
        return prompt.Length > MaxPrompt * 2 ? prompt[..(MaxPrompt * 2)] : prompt;
    }

    /// <summary>Hints, some of them nonsense: they may cost hits and never tokens.</summary>
    private PromptStructure Structure(int length)
    {
        int[] turns = [.. Enumerable.Range(0, random.Next(5)).Select(_ => random.Next(length + 5)).Order()];
        return new PromptStructure
        {
            TurnStarts = turns,
            LastUserTurn = turns.Length > 0 ? turns[random.Next(turns.Length)] : 0,
            GenerationPrefix = random.Next(2) == 0 ? random.Next(length + 5) : null,
            Breakpoints = random.Next(3) == 0 ? [random.Next(length + 5)] : [],
        };
    }
}
