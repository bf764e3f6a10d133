using Sluice.Backends;
using Sluice.Core;
using Sluice.Engine.Sampling;
using Sluice.Tests;

namespace Sluice.Engine.Tests.Sampling;

public sealed class SamplerTests
{
    /// <summary>
    /// Random logits (continuous, coarse with many ties, peaked, flat, with impossible tokens) under random options: whatever is
    /// drawn is in the reference's distribution.
    /// </summary>
    [Fact]
    public void Draws_only_what_the_reference_keeps()
    {
        for (int seed = 0; seed < 400; seed++)
        {
            var random = new Random(seed);
            float[] logits = RandomLogits(random, random.Next(1, 700));
            int[] prompt = [.. Enumerable.Range(0, random.Next(1, 30)).Select(_ => random.Next(logits.Length))];
            SamplingOptions options = RandomOptions(random, logits.Length);
            var sampler = new Sampler(logits.Length);
            var sequence = new SequenceSampling(options, (ulong)seed, prompt);
            var output = new List<int>();
            for (int step = 0; step < 20; step++)
            {
                int token = sampler.Sample([.. logits], sequence).Token;
                var reference = ReferenceSampler.Distribution(logits, options, prompt, output);

                // A token whose cumulative probability meets top-p to within rounding may fall on either side.
                bool isKept = reference.Exists(t => t.Id == token) || IsAtTheEdge(logits, options, prompt, output, token);
                Assert.True(isKept, $"seed {seed}, step {step}: {token} is not in the reference's {reference.Count} tokens; {options}");
                sequence.Accept(token);
                output.Add(token);
            }
        }
    }

    /// <summary>
    /// From a shortlist comes the same choice, with the same log-probabilities, as from the whole row, or none; and one does come where the options
    /// keep few tokens.
    /// </summary>
    [Fact]
    public void A_shortlist_chooses_as_the_whole_row_or_not_at_all()
    {
        int chosen = 0, narrow = 0;
        for (int seed = 0; seed < 2000; seed++)
        {
            Random random = new(seed);
            float[] logits = RandomLogits(random, random.Next(1, 700));
            SamplingOptions options = RandomOptions(random, logits.Length);
            if (random.Next(4) > 0)
                options = options with { PresencePenalty = 0, FrequencyPenalty = 0, RepetitionPenalty = 1, LogitBias = [], TopK = random.Next(0, 100) };
            if (random.Next(3) == 0)
                options = options with { TopLogprobs = random.Next(0, 6) };
            Sampler sampler = new(logits.Length);
            SequenceSampling sequence = new(options, (ulong)seed, [0]);
            LogitShortlists lists = new(1);
            sampler.Ask(lists, sequence);
            HostShortlists.Fill([logits], lists);
            bool isNarrow = !options.HasPenalties && options.LogitBias.Count == 0 && (options.Temperature == 0 || (options.TopK is > 0 and <= LogitShortlists.Length && options.TopK < logits.Length));
            narrow += isNarrow ? 1 : 0;
            if (!sampler.TrySample(lists[0], sequence, out SampledToken quick))
            {
                Assert.False(isNarrow, $"seed {seed}: nothing from the shortlist for {options}");
                continue;
            }

            chosen++;
            SampledToken slow = sampler.Sample([.. logits], sequence);
            if (quick.Token != slow.Token)
                Assert.True(IsNearBorder(logits, options, sequence), $"seed {seed}: {quick.Token} from the shortlist, {slow.Token} from the row; {options}");
            else
                Assert.Equal(slow.Logprob, quick.Logprob, 1e-4f);
            Assert.Equal(slow.TopLogprobs?.Select(top => top.Token), quick.TopLogprobs?.Select(top => top.Token));
        }

        Assert.True(chosen > 300 && narrow > 100, $"{chosen} chosen, {narrow} narrow");
    }

    // Sums in another order may put a number on the other side of a border: then a hair beside it both sides are met.
    private static bool IsNearBorder(float[] logits, SamplingOptions options, SequenceSampling sequence)
    {
        var kept = ReferenceSampler.Distribution(logits, options, [0], []);
        bool isWhole = (options.TopK == 0 || options.TopK >= logits.Length) && options is { TopP: 1, MinP: 0 };
        double sum = 0;
        double nearest = 1;
        foreach ((_, double p) in isWhole ? kept.OrderBy(t => t.Id) : kept.AsEnumerable())
            nearest = Math.Min(nearest, Math.Abs((sum += p) - sequence.NextUniform()));
        int Kept(float nudge) => ReferenceSampler.Distribution(
            logits, options with { TopP = Math.Clamp(options.TopP + nudge, 1e-6f, 1), MinP = Math.Clamp(options.MinP + nudge, 0, 1) }, [0], []).Count;
        return nearest < 1e-5 || Kept(-1e-5f) != Kept(1e-5f);
    }

    public static TheoryData<string, SamplingOptions> Distributions => new()
    {
        { "plain", new SamplingOptions { Temperature = 1 } },
        { "cold", new SamplingOptions { Temperature = 0.6f } },
        { "hot", new SamplingOptions { Temperature = 1.7f } },
        { "top-k by heap", new SamplingOptions { TopK = 7 } },
        { "top-k by quickselect", new SamplingOptions { TopK = 300 } },
        { "top-p", new SamplingOptions { TopP = 0.7f } },
        { "min-p", new SamplingOptions { MinP = 0.1f } },
        { "top-k, top-p by heap", new SamplingOptions { TopK = 20, TopP = 0.8f, Temperature = 0.7f } },
        { "top-k, top-p by quickselect", new SamplingOptions { TopK = 280, TopP = 0.8f, Temperature = 1.2f } },
        { "all", new SamplingOptions { TopK = 290, TopP = 0.95f, MinP = 0.05f, Temperature = 1.3f, RepetitionPenalty = 1.2f } },
        { "penalties", new SamplingOptions { PresencePenalty = 0.5f, FrequencyPenalty = 0.3f, RepetitionPenalty = 1.3f } },
        { "bias", new SamplingOptions { LogitBias = [new(3, 2), new(4, -1)] } },
    };

    /// <summary>
    /// 40,000 draws with as many seeds against the reference's probabilities: chi-squared, pooled so that each cell expects at
    /// least 10. The seeds are fixed, so this passes or fails for good; the bar is 5 standard deviations of the statistic.
    /// </summary>
    [Theory]
    [MemberData(nameof(Distributions), DisableDiscoveryEnumeration = true)]
    public void Draws_follow_the_reference_distribution(string name, SamplingOptions options)
    {
        const int Draws = 40_000;
        var random = new Random(7);
        float[] logits = [.. Enumerable.Range(0, 400).Select(_ => (float)(random.NextDouble() * 6))];
        int[] prompt = [1, 2, 3, 4, 5];
        int[] output = [3, 3, 9, 10];
        var reference = ReferenceSampler.Distribution(logits, options, prompt, output);
        var sampler = new Sampler(logits.Length);
        var counts = new int[logits.Length];
        var scratch = new float[logits.Length];
        for (int draw = 0; draw < Draws; draw++)
        {
            var sequence = new SequenceSampling(options, (ulong)draw, prompt);
            foreach (int token in output)
                sequence.Accept(token);
            logits.CopyTo(scratch, 0);
            counts[sampler.Sample(scratch, sequence).Token]++;
        }

        double statistic = 0, expectedRest = 0;
        int cells = 0, seenRest = 0;
        foreach (var (id, p) in reference)
        {
            expectedRest += p * Draws;
            seenRest += counts[id];
            if (expectedRest < 10)
                continue;
            statistic += (seenRest - expectedRest) * (seenRest - expectedRest) / expectedRest;
            cells++;
            (expectedRest, seenRest) = (0, 0);
        }

        double freedom = Math.Max(cells - 1, 1);
        Assert.True(statistic < freedom + (5 * Math.Sqrt(2 * freedom)), $"{name}: chi-squared {statistic:F1} with {freedom} degrees of freedom");
        Assert.Equal(Draws, reference.Sum(t => counts[t.Id]));
    }

    /// <summary>Under a mask the draw is the reference's with the other logits at negative infinity; log-probabilities are the model's own.</summary>
    [Fact]
    public void A_mask_takes_tokens_out_before_everything_else()
    {
        for (int seed = 0; seed < 400; seed++)
        {
            var random = new Random(seed);
            float[] logits = RandomLogits(random, random.Next(1, 700));
            SamplingOptions options = RandomOptions(random, logits.Length);
            var allowed = new ulong[((logits.Length + 63) / 64) + random.Next(2)];
            foreach (ref ulong word in allowed.AsSpan())
                word = random.Next(3) switch { 0 => 0, 1 => ulong.MaxValue, _ => (ulong)random.NextInt64() };
            if (allowed.Length > 1 && random.Next(4) == 0)
                allowed = allowed[..^1]; // tokens without a bit are out
            int[] usable = [.. Enumerable.Range(0, logits.Length).Where(id => IsAllowed(id) && float.IsFinite(logits[id]))];
            if (usable.Length == 0)
                continue;
            float[] masked = [.. logits.Select((logit, id) => IsAllowed(id) ? logit : float.NegativeInfinity)];
            var sampler = new Sampler(logits.Length);
            var sequence = new SequenceSampling(options, (ulong)seed, []);
            SampledToken sampled = sampler.Sample([.. logits], sequence, allowed);
            var reference = ReferenceSampler.Distribution(masked, options, [], []);
            Assert.True(IsAllowed(sampled.Token), $"seed {seed}: {sampled.Token} is not allowed");
            Assert.True(
                reference.Exists(t => t.Id == sampled.Token) || IsAtTheEdge(masked, options, [], [], sampled.Token),
                $"seed {seed}: {sampled.Token} is not in the reference's {reference.Count} tokens; {options}");
            if (options.WantsLogprobs)
                Assert.Equal(ReferenceSampler.Logprobs(logits)[sampled.Token], sampled.Logprob, 1e-3);

            bool IsAllowed(int id) => id >> 6 < allowed.Length && (allowed[id >> 6] >> (id & 63) & 1) != 0;
        }
    }

    [Fact]
    public void A_mask_of_one_token_leaves_it_whatever_the_bias()
    {
        var options = new SamplingOptions { LogitBias = [new(3, 100), new(70, -100)], TopLogprobs = 2 };
        var logits = new float[100];
        logits[5] = 9;
        SampledToken sampled = new Sampler(100).Sample(logits, new SequenceSampling(options, 1, []), [0, 1UL << 6]);
        Assert.Equal(70, sampled.Token);
        Assert.Equal(5, sampled.TopLogprobs![0].Token); // what the model itself would have said
        Assert.Throws<EngineException>(() => new Sampler(100).Sample(new float[100], new SequenceSampling(options, 1, []), [0, 0]));
    }

    [Fact]
    public void Greedy_takes_the_lowest_id_of_equals_at_any_position()
    {
        foreach (int size in (int[])[1, 2, 7, 8, 9, 31, 64, 100])
        {
            for (int winner = 0; winner < size; winner++)
            {
                float[] logits = [.. Enumerable.Range(0, size).Select(i => i < winner ? -1f : 0.5f)];
                var sequence = new SequenceSampling(SamplingOptions.Greedy, 0, []);
                Assert.Equal(winner, new Sampler(size).Sample(logits, sequence).Token);
            }
        }

        // -0 and +0 are equal.
        Assert.Equal(0, new Sampler(2).Sample(new float[] { -0f, 0f }, new SequenceSampling(SamplingOptions.Greedy, 0, [])).Token);
    }

    [Fact]
    public void Tied_logits_at_the_edge_of_a_filter_go_to_lower_ids()
    {
        var logits = new float[600];
        foreach (int k in (int[])[3, 300])
        {
            var options = new SamplingOptions { TopK = k };
            for (ulong seed = 0; seed < 2000; seed++)
                Assert.InRange(new Sampler(600).Sample([.. logits], new SequenceSampling(options, seed, [])).Token, 0, k - 1);
        }

        var half = new SamplingOptions { TopP = 0.5f };
        for (ulong seed = 0; seed < 2000; seed++)
            Assert.InRange(new Sampler(600).Sample([.. logits], new SequenceSampling(half, seed, [])).Token, 0, 299);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void One_unusable_logit_anywhere_is_an_error(float bad)
    {
        foreach (int at in (int[])[0, 5, 63, 99])
        {
            var logits = new float[100];
            logits[at] = bad;
            var error = Assert.Throws<EngineException>(() => new Sampler(100).Sample(logits, new SequenceSampling(SamplingOptions.Greedy, 0, [])));
            Assert.Equal(EngineFailure.InvalidLogits, error.Failure);
        }
    }

    [Fact]
    public void Nothing_but_negative_infinity_is_an_error()
    {
        float[] logits = [float.NegativeInfinity, float.NegativeInfinity];
        Assert.Throws<EngineException>(() => new Sampler(2).Sample(logits, new SequenceSampling(new SamplingOptions(), 0, [])));
    }

    [Theory]
    [InlineData(1e-45f)]
    [InlineData(1e-30f)]
    [InlineData(1e-3f)]
    public void A_temperature_next_to_nothing_is_greedy(float temperature)
    {
        float[] logits = [1, 5, 4.9f, -1000, float.NegativeInfinity];
        foreach (SamplingOptions options in (SamplingOptions[])
            [new() { Temperature = temperature }, new() { Temperature = temperature, TopK = 3 }, new() { Temperature = temperature, TopP = 0.9f }])
        {
            for (ulong seed = 0; seed < 200; seed++)
                Assert.Equal(1, new Sampler(5).Sample([.. logits], new SequenceSampling(options, seed, [])).Token);
        }
    }

    [Fact]
    public void A_token_without_probability_is_never_drawn()
    {
        float[] logits = [.. Enumerable.Range(0, 3000).Select(i => i % 3 == 1 ? 0 : float.NegativeInfinity)];
        foreach (SamplingOptions options in (SamplingOptions[])
            [new(), new() { TopK = 200 }, new() { TopK = 2000 }, new() { TopP = 0.999999f }, new() { MinP = 1e-6f }])
        {
            var sampler = new Sampler(logits.Length);
            for (ulong seed = 0; seed < 1000; seed++)
                Assert.Equal(1, sampler.Sample([.. logits], new SequenceSampling(options, seed, [])).Token % 3);
        }
    }

    [Fact]
    public void Logprobs_are_the_models_own_whatever_the_options_do()
    {
        for (int seed = 0; seed < 100; seed++)
        {
            var random = new Random(seed);
            float[] logits = RandomLogits(random, random.Next(25, 500));
            SamplingOptions options = RandomOptions(random, logits.Length) with { TopLogprobs = random.Next(0, 21) };
            double[] reference = ReferenceSampler.Logprobs(logits);
            SampledToken sampled = new Sampler(logits.Length).Sample([.. logits], new SequenceSampling(options, 1, [0, 1]));

            Assert.Equal(reference[sampled.Token], sampled.Logprob, 1e-4);
            int[] top = [.. Enumerable.Range(0, logits.Length).OrderByDescending(id => logits[id]).ThenBy(id => id).Take(options.TopLogprobs!.Value)];
            Assert.Equal(top, sampled.TopLogprobs!.Select(t => t.Token));
            Assert.All(sampled.TopLogprobs!, t => Assert.True(t.Logprob == reference[t.Token] || Math.Abs(t.Logprob - reference[t.Token]) < 1e-4));
        }
    }

    [Theory]
    [InlineData(100, 1)]
    [InlineData(-100, 0)]
    public void A_bias_of_100_forces_or_bans(float bias, int expected)
    {
        float[] logits = bias > 0 ? [20, -20] : [-20, 20];
        var options = new SamplingOptions { LogitBias = [new(1, bias)] };
        for (ulong seed = 0; seed < 500; seed++)
            Assert.Equal(expected, new Sampler(2).Sample([.. logits], new SequenceSampling(options, seed, [])).Token);
    }

    [Fact]
    public void Nothing_is_allocated_for_a_token()
    {
        var random = new Random(1);
        float[] logits = [.. Enumerable.Range(0, 5000).Select(_ => (float)(random.NextDouble() * 8))];
        var scratch = new float[logits.Length];
        var sampler = new Sampler(logits.Length);
        foreach (SamplingOptions options in (SamplingOptions[])
            [new(), SamplingOptions.Greedy, new() { TopK = 20, TopP = 0.8f }, new() { TopK = 1000, TopP = 0.8f }, new() { TopP = 0.9f, PresencePenalty = 1 }])
        {
            var sequence = new SequenceSampling(options, 1, [1]);
            for (int warm = 0; warm < 3; warm++)
                Draw();
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 50; i++)
                Draw();
            Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

            void Draw()
            {
                logits.CopyTo(scratch, 0);
                _ = sampler.Sample(scratch, sequence);
            }
        }
    }

    private static float[] RandomLogits(Random random, int size)
    {
        int shape = random.Next(5);
        var logits = new float[size];
        for (int i = 0; i < size; i++)
        {
            logits[i] = shape switch
            {
                0 => (float)((random.NextDouble() * 20) - 10),
                1 => random.Next(-2, 3),
                2 => random.Next(10) == 0 ? 12 + (float)random.NextDouble() : (float)random.NextDouble(),
                3 => 0.25f,
                _ => random.Next(2) == 0 ? float.NegativeInfinity : (float)(random.NextDouble() * 5),
            };
        }

        logits[random.Next(size)] = 3;
        return logits;
    }

    private static SamplingOptions RandomOptions(Random random, int vocabulary)
    {
        bool Maybe() => random.Next(2) == 0;
        return new SamplingOptions
        {
            Temperature = random.Next(6) == 0 ? 0 : (float)(random.NextDouble() * 2),
            TopK = Maybe() ? random.Next(0, vocabulary + 10) : 0,
            TopP = Maybe() ? (float)(1 - random.NextDouble()) : 1,
            MinP = Maybe() ? (float)random.NextDouble() * 0.3f : 0,
            PresencePenalty = Maybe() ? (float)(random.NextDouble() * 4) - 2 : 0,
            FrequencyPenalty = Maybe() ? (float)(random.NextDouble() * 4) - 2 : 0,
            RepetitionPenalty = Maybe() ? 0.5f + (float)random.NextDouble() : 1,
            LogitBias = Maybe() ? [new LogitBias(random.Next(vocabulary), (float)(random.NextDouble() * 10) - 5)] : [],
        };
    }

    private static bool IsAtTheEdge(float[] logits, SamplingOptions options, int[] prompt, List<int> output, int token)
    {
        foreach (float nudge in (float[])[-1e-5f, 1e-5f])
        {
            var nudged = options with
            {
                TopP = Math.Clamp(options.TopP + nudge, 1e-6f, 1),
                MinP = Math.Clamp(options.MinP + nudge, 0, 1),
            };
            if (ReferenceSampler.Distribution(logits, nudged, prompt, output).Exists(t => t.Id == token))
                return true;
        }

        return false;
    }
}
