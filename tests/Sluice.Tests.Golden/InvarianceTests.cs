using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Models;
using Sluice.Testing;

namespace Sluice.Tests.Golden;

/// <summary>
/// A row's result depends on its own sequence alone, to the last bit: however a prompt is cut into chunks, whatever else is in
/// the batch, wherever pages and states lie.
/// </summary>
public sealed class InvarianceTests
{
    private const int Tokens = 100;

    public static TheoryData<string, string> Cases => RandomCheckpointTests.Cases();

    [Theory]
    [MemberData(nameof(Cases))]
    public void Any_chunking_gives_the_same_bits(string backendName, string name)
    {
        using Loaded loaded = new(backendName, name);
        float[][] whole = new Sequence(loaded.Model).Run(loaded.Ids, Tokens);
        foreach (int chunk in new[] { 1, 3, 16, 31, 64, 65 })
            AssertSame(whole, new Sequence(loaded.Model).Run(loaded.Ids, chunk), $"chunks of {chunk}");

        for (int seed = 0; seed < 3; seed++)
        {
            Random random = new(seed);
            Sequence sequence = new(loaded.Model);
            List<float[]> logits = [];
            while (sequence.Length < Tokens)
            {
                int count = Math.Min(random.Next(1, 40), Tokens - sequence.Length);
                logits.AddRange(sequence.Run(loaded.Ids.AsSpan(sequence.Length, count), count));
            }

            AssertSame(whole, [.. logits], $"random chunks of seed {seed}");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Sequences_in_one_batch_are_as_alone(string backendName, string name)
    {
        const int Sequences = 4;
        using Loaded loaded = new(backendName, name);
        int[][] ids = [.. Enumerable.Range(0, Sequences).Select(s => loaded.Ids.Skip(s * 9).Take(40 + (s * 7)).ToArray())];
        float[][][] alone = [.. ids.Select(sequence => new Sequence(loaded.Model).Run(sequence, 64))];

        for (int seed = 0; seed < 3; seed++)
        {
            // Decodes and prefills mixed at random; pages interleaved; slots in another order than the spans'.
            Random random = new(seed);
            Sequence[] together = [.. Enumerable.Range(0, Sequences).Select(
                s => new Sequence(loaded.Model, slot: (s + 2) % Sequences, firstPage: s, pageCount: 7, stride: Sequences))];
            List<float[]>[] logits = [.. together.Select(_ => new List<float[]>())];
            StepBatch batch = new(loaded.Model.MaxStepTokens);
            while (Enumerable.Range(0, Sequences).Any(s => together[s].Length < ids[s].Length))
            {
                batch.Clear();
                List<int> owners = [];
                foreach (int s in Enumerable.Range(0, Sequences).OrderBy(_ => random.Next()))
                {
                    int left = ids[s].Length - together[s].Length;
                    int count = Math.Min(left, random.Next(3) switch { 0 => 0, 1 => 1, _ => random.Next(1, 30) });
                    count = Math.Min(count, batch.MaxTokens - batch.TokenCount);
                    if (count == 0)
                        continue;
                    together[s].AddTo(batch, ids[s].AsSpan(together[s].Length, count), LogitsWanted.All);
                    owners.AddRange(Enumerable.Repeat(s, count));
                }

                if (batch.TokenCount == 0)
                    continue;
                loaded.Model.Forward(batch);
                for (int row = 0; row < owners.Count; row++)
                    logits[owners[row]].Add(Sequence.LogitsOf(loaded.Model, row));
            }

            for (int s = 0; s < Sequences; s++)
                AssertSame(alone[s], [.. logits[s]], $"seed {seed}, sequence {s}");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void An_exported_state_continues_as_if_never_left(string backendName, string name)
    {
        using Loaded loaded = new(backendName, name);
        float[][] whole = new Sequence(loaded.Model).Run(loaded.Ids, Tokens);
        foreach (int length in new[] { 1, 2, 4, 17, 64, 89 })
        {
            // The first chunk ends past the export, so the live state has moved on; the copy has not.
            Sequence first = new(loaded.Model, slot: 1);
            StepBatch batch = new(loaded.Model.MaxStepTokens);
            first.AddTo(batch, loaded.Ids.AsSpan(0, 90), LogitsWanted.Last, new StateExport(length, 3), new StateExport(90, 2));
            loaded.Model.Forward(batch);
            AssertSame([whole[89]], [Sequence.LogitsOf(loaded.Model, 0)], $"first chunk, export at {length}");
            AssertSame(whole[90..], first.ContinueAt(slot: 2, 90).Run(loaded.Ids.AsSpan(90), 5), $"export at 90 beside {length}");
            AssertSame(whole[length..], first.ContinueAt(slot: 3, length).Run(loaded.Ids.AsSpan(length), 33), $"export at {length}");
        }
    }

    private static void AssertSame(float[][] expected, float[][] found, string what)
    {
        Assert.Equal(expected.Length, found.Length);
        for (int t = 0; t < expected.Length; t++)
        {
            for (int i = 0; i < expected[t].Length; i++)
            {
                if (BitConverter.SingleToInt32Bits(expected[t][i]) != BitConverter.SingleToInt32Bits(found[t][i]))
                    Assert.Fail($"{what}: logit {i} of token {t} is {found[t][i]:r}, expected {expected[t][i]:r}");
            }
        }
    }

    private sealed class Loaded : IDisposable
    {
        private readonly IBackend _backend;

        public Loaded(string backendName, string name)
        {
            _backend = GoldenBackends.Create(backendName);
            using Checkpoint checkpoint = Checkpoint.Open(TestData.At("random", name));
            Model = LanguageModel.Load(
                checkpoint, _backend, new ModelOptions { MaxStepTokens = 128, MaxLogitRows = 128, Pages = 32, Slots = 4 });
            Random random = new(5);
            Ids = [.. Enumerable.Range(0, Tokens).Select(_ => random.Next(checkpoint.Config.VocabularySize))];
        }

        public LanguageModel Model { get; }

        public int[] Ids { get; }

        public void Dispose()
        {
            Model.Dispose();
            _backend.Dispose();
        }
    }
}
