using Sluice.Backends;
using Sluice.Engine.Scheduling;
using Sluice.Testing;

namespace Sluice.Engine.Tests;

/// <summary>Who is served when.</summary>
public sealed class FairnessTests
{
    [Fact]
    public void One_client_with_many_requests_does_not_keep_another_waiting()
    {
        List<int> begun = Begun([.. Enumerable.Range(0, 20).Select(i => Request(i, "greedy")), Request(20, "modest"), Request(21, "modest")]);
        Assert.InRange(begun.IndexOf(20), 1, 2);
        Assert.InRange(begun.IndexOf(21), 2, 5);
        Assert.Equal(begun.Where(i => i < 20), Enumerable.Range(0, 20));
    }

    [Fact]
    public void Higher_priorities_go_first_and_take_the_place_of_lower_ones()
    {
        using var model = new FakeModel(superblocks: 100);
        InferenceEngine engine = InferenceEngine.CreateStepped(model, new EngineOptions { MaxRunning = 1 });
        GenerationStream low = engine.Submit(Request(1, "a", tokens: 40));
        for (int i = 0; i < 10; i++)
            engine.Step();
        GenerationStream high = engine.Submit(Request(2, "b") with { Priority = 1 });
        engine.Step();
        Assert.True(high.TryRead(out _));
        Assert.Equal(1, engine.Preemptions);
        while (engine.Step())
            engine.CheckIntegrity();
        Assert.Equal(FakeModel.Continue([1, 1], 40), Tokens(low));
        Assert.True(high.Completion.IsCompletedSuccessfully);
    }

    [Fact]
    public void A_turn_once_given_comes_whoever_else_arrives()
    {
        var clock = new FairClock();
        double patient = 0;
        for (int i = 0; i < 10; i++)
            patient = clock.Enter("patient", 100);
        for (int i = 0; i < 10_000; i++)
        {
            string stranger = $"stranger {i}";
            double turn = clock.Enter(stranger, 100);
            if (turn > patient)
                return;
            clock.Advance(100);
            clock.Leave(stranger);
        }

        Assert.Fail("new clients are served before an old request for ever");
    }

    private static GenerationRequest Request(int id, string client, int tokens = 3) =>
        InferenceEngineTests.Greedy([id, id], tokens) with { Client = client };

    /// <summary>The first tokens of the requests, in the order in which they begin, one at a time.</summary>
    private static List<int> Begun(List<GenerationRequest> requests)
    {
        List<int> begun = [];
        using var model = new FakeModel(superblocks: 400)
        {
            OnForward = batch =>
            {
                foreach (SequenceSpan span in batch.Sequences)
                {
                    if (span.FirstPosition == 0)
                        begun.Add(batch.Tokens[span.FirstRow]);
                }
            },
        };
        InferenceEngine engine = InferenceEngine.CreateStepped(model, new EngineOptions { MaxRunning = 1 });
        foreach (GenerationRequest request in requests)
            engine.Submit(request);
        while (engine.Step())
        {
        }

        return begun;
    }

    private static List<int> Tokens(GenerationStream stream)
    {
        List<int> tokens = [];
        while (stream.TryRead(out var token))
            tokens.Add(token.Token);
        return tokens;
    }
}
