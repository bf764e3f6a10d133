using Sluice.Engine.Sampling;
using Sluice.Testing;

namespace Sluice.Engine.Tests.Simulation;

/// <summary>A request of a simulated run: what it asks, what will happen to it, and what it must therefore give.</summary>
internal sealed class SimulatedRequest
{
    public const int Vocabulary = 61;

    public required int Id { get; init; }

    public required GenerationRequest Request { get; init; }

    /// <summary>Tick at which it is submitted.</summary>
    public required int ArrivesAt { get; init; }

    /// <summary>Ticks after submission at which the caller gives up; null: never.</summary>
    public int? CancelAfter { get; init; }

    /// <summary>Output tokens after which its logits hold a NaN; null: never.</summary>
    public int? PoisonAfter { get; init; }

    public CancellationTokenSource Cancellation { get; } = new();

    public GenerationStream? Stream { get; set; }

    public List<SampledToken> Output { get; } = [];

    public Completion Completion => Stream!.Completion.Result;

    /// <summary>The first two tokens of every prompt spell the request, so that a fault can be aimed at it.</summary>
    public static (int First, int Second) Tag(int id) => (id / Vocabulary, id % Vocabulary);

    /// <summary>What the request gives when nothing disturbs it, computed alone and without an engine.</summary>
    public (List<int> Tokens, FinishReason Reason) Expected(bool hasState)
    {
        var sampler = new Sampler(Vocabulary);
        int[] prompt = [.. Request.Prompt];
        var sampling = new SequenceSampling(Request.Sampling, unchecked((ulong)Request.Sampling.Seed!.Value), prompt);
        List<int> context = [.. prompt];
        List<int> output = [];
        var logits = new float[Vocabulary];
        while (true)
        {
            FakeModel.Logits([.. context], logits, hasState);
            int token = sampler.Sample(logits, sampling).Token;
            sampling.Accept(token);
            context.Add(token);
            output.Add(token);
            if (Request.StopTokens.Contains(token))
                return (output, FinishReason.Stop);
            if (output.Count == Request.MaxTokens)
                return (output, FinishReason.Length);
        }
    }

    public static SimulatedRequest Random(Random random, int id, int ticks, int maxPrompt, int maxOutput)
    {
        var (first, second) = Tag(id);
        bool isLong = random.Next(6) == 0;
        int length = random.Next(0, isLong ? maxPrompt : Math.Min(maxPrompt, 20));
        int[] prompt = [first, second, .. Enumerable.Range(0, length).Select(_ => random.Next(Vocabulary))];
        var sampling = random.Next(3) switch
        {
            0 => SamplingOptions.Greedy,
            1 => new SamplingOptions { Temperature = 1.2f, TopK = 5 },
            _ => new SamplingOptions { Temperature = 0.8f, TopP = 0.7f, RepetitionPenalty = 1.1f, PresencePenalty = 0.4f },
        };
        return new SimulatedRequest
        {
            Id = id,
            Request = new GenerationRequest
            {
                Prompt = prompt,
                MaxTokens = random.Next(1, maxOutput + 1),
                Sampling = sampling with { Seed = random.Next(), TopLogprobs = random.Next(4) == 0 ? 2 : null },
                StopTokens = random.Next(2) == 0 ? [random.Next(Vocabulary)] : [],
            },
            ArrivesAt = random.Next(ticks),
            CancelAfter = random.Next(5) == 0 ? random.Next(0, 30) : null,
            PoisonAfter = random.Next(12) == 0 ? random.Next(0, maxOutput) : null,
        };
    }
}
