using System.Text.Json;
using Sluice.Backends;
using Sluice.Models;
using Sluice.Testing;

namespace Sluice.Tests.Golden;

/// <summary>
/// Teacher-forced exact match: an item is right if, at every position of its answer, the likeliest token is the answer's. Several items
/// share a step, as in a server.
/// </summary>
public sealed class DemoEvaluationTests(ITestOutputHelper output)
{
    private const int StepTokens = 1024;
    private const int MostSequences = 16;
    private const int PagesEach = 64;

    public static TheoryData<string> Backends => GoldenBackends.All;

    [Theory]
    [MemberData(nameof(Backends))]
    public void Exact_matches_are_as_many(string backend)
    {
        using JsonDocument file = DemoModel.ReadJson("eval.json.gz");

        // The scalar backend takes every 75th item and must agree on each; the others take all, and float32 in another order may
        // turn one item of a task.
        JsonElement[] items = [.. file.RootElement.GetProperty("items").EnumerateArray()];
        bool all = backend != GoldenBackends.Scalar;
        if (!all)
            items = [.. items.Where((_, index) => index % 75 == 0)];
        bool[] right = Evaluate(backend, items);

        foreach (IGrouping<string, int> task in Enumerable.Range(0, items.Length).GroupBy(i => items[i].GetProperty("task").GetString()!))
        {
            int expected = task.Count(i => items[i].GetProperty("correct_fp32").GetBoolean());
            int found = task.Count(i => right[i]);
            output.WriteLine($"{task.Key}: {found} of {task.Count()}, expected {expected}");
            if (all)
            {
                Assert.Equal(file.RootElement.GetProperty("exact_match").GetProperty(task.Key).GetProperty("float32").GetInt32(), expected);
                Assert.InRange(found, expected - 1, expected + 1);
            }
            else
            {
                Assert.All(task, i => Assert.Equal(items[i].GetProperty("correct_fp32").GetBoolean(), right[i]));
            }
        }
    }

    private static bool[] Evaluate(string backend, JsonElement[] items)
    {
        using DemoModel demo = new(
            backend, new ModelOptions { MaxStepTokens = StepTokens, MaxLogitRows = StepTokens, Pages = MostSequences * PagesEach, Slots = MostSequences });
        bool[] right = new bool[items.Length];
        StepBatch batch = new(StepTokens);
        List<(int Item, int[] Answer)> inStep = [];
        for (int i = 0; i < items.Length; i++)
        {
            int[] prompt = DemoModel.Ids(items[i], "prompt_ids");
            int[] answer = DemoModel.Ids(items[i], "answer_ids");
            if (inStep.Count == MostSequences || batch.TokenCount + prompt.Length + answer.Length > StepTokens)
                Finish();

            int[] tokens = [.. prompt, .. answer.AsSpan(0, answer.Length - 1)];
            Sequence sequence = new(demo.Model, inStep.Count, inStep.Count * PagesEach, PagesEach);
            sequence.AddTo(batch, tokens, LogitsWanted.All);
            inStep.Add((i, answer));
        }

        Finish();
        return right;

        void Finish()
        {
            demo.Model.Forward(batch);
            int end = 0;
            for (int s = 0; s < inStep.Count; s++)
            {
                (int item, int[] answer) = inStep[s];
                end += batch.Sequences[s].Count;
                right[item] = true;
                for (int a = 0; a < answer.Length && right[item]; a++)
                {
                    float[] logits = Sequence.LogitsOf(demo.Model, end - answer.Length + a);
                    right[item] = Array.IndexOf(logits, logits.Max()) == answer[a];
                }
            }

            batch.Clear();
            inStep.Clear();
        }
    }
}
