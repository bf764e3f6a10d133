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

    public static TheoryData<string> Backends => GoldenBackends.Fast;

    [Theory]
    [MemberData(nameof(Backends))]
    public void Exact_matches_are_as_many(string backend)
    {
        // Float32 in another order may turn one item of a task.
        Compare(backend, "float32", "correct_fp32", tolerance: 1);
    }

    /// <summary>A card computes in bfloat16, and so does the reference's other column; which items turn is chance.</summary>
    [Fact]
    public void Exact_matches_on_a_card_are_as_many()
    {
        GoldenBackends.NeedCard();
        Compare(GoldenBackends.Card, "bfloat16", null, tolerance: 2);
    }

    private void Compare(string backend, string column, string? items, int tolerance)
    {
        using JsonDocument file = DemoModel.ReadJson("eval.json.gz");
        JsonElement[] all = [.. file.RootElement.GetProperty("items").EnumerateArray()];
        bool[] right = Evaluate(backend, all);
        foreach (IGrouping<string, int> task in Enumerable.Range(0, all.Length).GroupBy(i => all[i].GetProperty("task").GetString()!))
        {
            int expected = file.RootElement.GetProperty("exact_match").GetProperty(task.Key).GetProperty(column).GetInt32();
            int found = task.Count(i => right[i]);
            output.WriteLine($"{task.Key}: {found} of {task.Count()}, expected {expected}");
            if (items is not null)
                Assert.Equal(expected, task.Count(i => all[i].GetProperty(items).GetBoolean()));
            Assert.InRange(found, expected - tolerance, expected + tolerance);
        }
    }

    private static bool[] Evaluate(string backend, JsonElement[] items)
    {
        using DemoModel demo = new(
            backend, new ModelOptions { MaxStepTokens = StepTokens, MaxLogitRows = StepTokens, Pages = MostSequences * PagesEach, Slots = MostSequences });
        bool[] right = new bool[items.Length];
        StepBatch batch = new(StepTokens);
        List<(int Item, int[] Prompt, int[] Answer, Sequence Sequence)> together = [];
        int tokens = 0;
        for (int i = 0; i < items.Length; i++)
        {
            int[] prompt = DemoModel.Ids(items[i], "prompt_ids");
            int[] answer = DemoModel.Ids(items[i], "answer_ids");
            if (together.Count == MostSequences || tokens + prompt.Length + answer.Length > StepTokens)
                Finish();
            together.Add((i, prompt, answer, new Sequence(demo.Model, together.Count, together.Count * PagesEach, PagesEach)));
            tokens += prompt.Length + answer.Length;
        }

        Finish();
        return right;

        void Finish()
        {
            // All but the last token of the prompts, whose logits nobody wants; then what predicts the answers.
            batch.Clear();
            foreach ((_, int[] prompt, _, Sequence sequence) in together)
                sequence.AddTo(batch, prompt.AsSpan(0, prompt.Length - 1), LogitsWanted.None);
            demo.Model.Forward(batch);
            batch.Clear();
            foreach ((_, int[] prompt, int[] answer, Sequence sequence) in together)
                sequence.AddTo(batch, [prompt[^1], .. answer.AsSpan(0, answer.Length - 1)], LogitsWanted.All);
            demo.Model.Forward(batch);

            int row = 0;
            foreach ((int item, _, int[] answer, _) in together)
            {
                right[item] = true;
                foreach (int expected in answer)
                {
                    float[] logits = Sequence.LogitsOf(demo.Model, row++);
                    right[item] &= Array.IndexOf(logits, logits.Max()) == expected;
                }
            }

            together.Clear();
            tokens = 0;
        }
    }
}
