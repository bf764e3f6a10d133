using Sluice.Engine.Sampling;
using Sluice.Testing;

namespace Sluice.Engine.Tests.Simulation;

/// <summary>A request of a simulated run: what it asks and what will happen to it.</summary>
internal sealed class SimulatedRequest
{
    public required int Id { get; init; }

    public required GenerationRequest Request { get; init; }

    public required SimulatedChoice[] Choices { get; init; }

    /// <summary>Tick at which it is submitted.</summary>
    public required int ArrivesAt { get; init; }

    /// <summary>Ticks after submission at which the caller gives up on all of it; null: never.</summary>
    public int? CancelAfter { get; init; }

    /// <summary>Whether its reader takes no token before all has ended.</summary>
    public bool ReaderStalls { get; init; }

    public CancellationTokenSource Cancellation { get; } = new();

    public bool IsSubmitted => Choices[0].Stream is not null;
}

/// <summary>One continuation of a request's prompt, and what must come of it.</summary>
internal sealed class SimulatedChoice
{
    public required int Index { get; init; }

    /// <summary>Ticks after submission at which the caller gives up on this one; null: never.</summary>
    public int? CancelAfter { get; init; }

    /// <summary>Its tokens when nothing disturbs it, computed alone and without an engine.</summary>
    public required int[] Expected { get; init; }

    /// <summary>How it then ends: <see cref="FinishReason.Failed"/> when its next logits hold a NaN.</summary>
    public required FinishReason ExpectedReason { get; init; }

    public GenerationStream? Stream { get; set; }

    public int Ends { get; set; }

    public List<SampledToken> Output { get; } = [];

    public Completion Completion => Stream!.Completion.Result;

    public void Read()
    {
        while (Stream!.TryRead(out SampledToken token))
            Output.Add(token);
    }

    /// <summary>Computes what a request's choice must give.</summary>
    public static SimulatedChoice Of(GenerationRequest request, int index, int? cancelAfter, bool hasState, Func<ulong, bool> poison)
    {
        var sampler = new Sampler(Workload.Vocabulary);
        var sampling = new SequenceSampling(request.Sampling, Philox.Derive(unchecked((ulong)request.Sampling.Seed!.Value), index), [.. request.Prompt]);
        var context = new FakeContext(hasState);
        foreach (int token in request.Prompt)
            context.Append(token);
        List<int> output = [];
        var logits = new float[Workload.Vocabulary];
        FinishReason reason;
        while (true)
        {
            if (poison(context.Hash))
            {
                reason = FinishReason.Failed;
                break;
            }

            context.Logits(logits);
            int token = sampler.Sample(logits, sampling).Token;
            sampling.Accept(token);
            context.Append(token);
            output.Add(token);
            if (request.StopTokens.Contains(token) || output.Count == request.MaxTokens)
            {
                reason = request.StopTokens.Contains(token) ? FinishReason.Stop : FinishReason.Length;
                break;
            }
        }

        return new SimulatedChoice { Index = index, CancelAfter = cancelAfter, Expected = [.. output], ExpectedReason = reason };
    }
}
