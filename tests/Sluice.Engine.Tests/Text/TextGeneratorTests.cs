using System.Text;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Engine.Sampling;
using Sluice.Engine.Text;
using Sluice.Testing;
using Sluice.Text;

namespace Sluice.Engine.Tests.Text;

/// <summary>Text of scripted answers, token by token through the whole engine.</summary>
public sealed class TextGeneratorTests
{
    private const int EndOfText = 4098;
    private static readonly Tokenizer Tokenizer = Tokenizer.Load(Path.Combine(AppContext.BaseDirectory, "data"));
    private static readonly string[] Pieces = ["Hello", " world", "\n", "日本語", "🙂", "👩‍👩‍👧", "é", "naïve", " stop", "STOP", "aab", "0", " ", "}"];

    [Fact]
    public async Task Text_is_whole_and_never_half_a_character()
    {
        for (int seed = 0; seed < 60; seed++)
        {
            string text = RandomText(new Random(seed));
            var (deltas, completion) = await Run([.. Tokenizer.Encode(text), EndOfText], new TextRequest { Prompt = [1, 2], Sampling = SamplingOptions.Greedy });
            Assert.Equal(text, Join(deltas));
            Assert.All(deltas, d => Assert.Equal(d.Text, new UTF8Encoding(false, true).GetString(Encoding.UTF8.GetBytes(d.Text))));
            Assert.DoesNotContain(deltas, d => d.Text.Contains('\uFFFD', StringComparison.Ordinal));
            Assert.Equal(FinishReason.Stop, completion.Reason);
            Assert.Equal(Tokenizer.Encode(text).Length + 1, completion.Usage.OutputTokens);
        }
    }

    [Fact]
    public async Task Any_tokens_give_what_the_tokenizer_decodes_at_once()
    {
        for (int seed = 0; seed < 60; seed++)
        {
            var random = new Random(seed);
            int[] ids = [.. Enumerable.Range(0, 40).Select(_ => random.Next(random.Next(2) == 0 ? 256 : 4096))];
            var (deltas, completion) = await Run(ids, new TextRequest { Prompt = [1], MaxTokens = 40, Sampling = SamplingOptions.Greedy with { TopLogprobs = 1 } });
            Assert.Equal(Tokenizer.Decode(ids, skipSpecial: true), Join(deltas));
            Assert.Equal(ids, deltas.SelectMany(d => d.Tokens).Select(t => t.Chosen.Token));
            Assert.Equal(FinishReason.Length, completion.Reason);
        }
    }

    [Fact]
    public async Task Stop_strings_end_the_text_before_them_and_tokens_match_the_text()
    {
        int stopped = 0;
        for (int seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            string text = RandomText(random);
            string[] stops = [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => RandomStop(random, text))];
            var request = new TextRequest { Prompt = [1, 2], Stop = stops, Sampling = SamplingOptions.Greedy with { TopLogprobs = 2 } };
            var (deltas, completion) = await Run([.. Tokenizer.Encode(text), EndOfText], request);

            string expected = BeforeFirstStop(text, stops);
            Assert.Equal(expected, Join(deltas));
            Assert.Equal(FinishReason.Stop, completion.Reason);
            List<TextToken> tokens = [.. deltas.SelectMany(d => d.Tokens)];
            Assert.Equal(Encoding.UTF8.GetBytes(expected), tokens.SelectMany(t => t.Chosen.Bytes.ToArray()));
            Assert.All(tokens, t => Assert.Equal(2, t.Likeliest.Count));
            if (expected.Length == text.Length)
                continue;
            stopped++;

            // Usage counts to the token that completes the stop string, not how far the engine had run ahead.
            int needed = Enumerable.Range(1, int.MaxValue).First(n => BeforeFirstStop(Tokenizer.Decode(Tokenizer.Encode(text).AsSpan(0, n)).TrimEnd('\uFFFD'), stops) == expected
                && stops.Any(s => Tokenizer.Decode(Tokenizer.Encode(text).AsSpan(0, n)).Contains(s, StringComparison.Ordinal)));
            Assert.Equal(needed, completion.Usage.OutputTokens);
        }

        Assert.True(stopped > 100);
    }

    [Fact]
    public async Task A_token_cut_by_a_stop_string_keeps_its_bytes_before_it_and_no_others()
    {
        // A token of the last byte of a character and two letters; the other bytes come one by one.
        JsonNode json = JsonNode.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "data", "tokenizer.json")))!;
        json["model"]!["vocab"]!["\u0124ab"] = 4150;
        Tokenizer tokenizer = Tokenizer.Parse(Encoding.UTF8.GetBytes(json.ToJsonString()));
        int[] answer = [.. new[] { "\u00F0", "\u0141", "\u013B" }.Select(spelled => tokenizer.TryGetId(spelled, out int id) ? id : -1), 4150, EndOfText];
        Assert.Equal("🙂ab", tokenizer.Decode(answer.AsSpan(0, 4)));

        var request = new TextRequest { Prompt = [1], Stop = ["b"], Sampling = SamplingOptions.Greedy with { TopLogprobs = 0 } };
        var (deltas, _) = await Run(answer, request, tokenizer);
        Assert.Equal("🙂a", Join(deltas));
        Assert.Equal(
            [[0xF0], [0x9F], [0x99], [0x82, (byte)'a']],
            deltas.SelectMany(d => d.Tokens).Select(t => t.Chosen.Bytes.ToArray()));
    }

    [Fact]
    public async Task A_stop_string_never_completed_is_text()
    {
        var (deltas, _) = await Run([.. Tokenizer.Encode("one STO"), EndOfText], new TextRequest { Prompt = [1], Stop = ["STOP"], Sampling = SamplingOptions.Greedy });
        Assert.Equal("one STO", Join(deltas));
    }

    [Fact]
    public async Task Stop_tokens_are_not_part_of_the_text_and_end_of_text_can_be_ignored()
    {
        int[] answer = [.. Tokenizer.Encode("a b c"), EndOfText, .. Tokenizer.Encode("d e f")];
        int comma = Tokenizer.Encode(" c")[0];
        var request = new TextRequest { Prompt = [1], StopTokens = [comma], MaxTokens = answer.Length, Sampling = SamplingOptions.Greedy };
        Assert.Equal("a b", Join((await Run(answer, request)).Deltas));
        Assert.Equal("a b c", Join((await Run(answer, request with { StopTokens = [] })).Deltas));
        Assert.Equal("a b cd e f", Join((await Run(answer, request with { StopTokens = [], IgnoreEndOfText = true })).Deltas));
    }

    [Fact]
    public async Task Failure_throws_and_cancellation_is_told()
    {
        using var model = NewModel([]);
        model.Poison = context => context.Length == 5;
        await using var engine = new InferenceEngine(model);
        var generator = new TextGenerator(engine, Tokenizer, [EndOfText]);
        await Assert.ThrowsAsync<EngineException>(async () => await Collect(generator.Generate(new TextRequest { Prompt = [1], MaxTokens = 9 })));

        TextStream cancelled = generator.Generate(new TextRequest { Prompt = [1] }, new CancellationToken(canceled: true));
        Assert.Empty(await Collect(cancelled));
        Assert.Equal(FinishReason.Cancelled, cancelled.Completion.Reason);
        Assert.Equal("stop", Assert.Throws<RequestException>(() => generator.Generate(new TextRequest { Prompt = [1], Stop = [""] })).Parameter);
    }

    private static async Task<(List<TextDelta> Deltas, TextCompletion Completion)> Run(int[] answer, TextRequest request, Tokenizer? tokenizer = null)
    {
        using var model = NewModel(answer);
        await using var engine = new InferenceEngine(model);
        TextStream stream = new TextGenerator(engine, tokenizer ?? Tokenizer, [EndOfText]).Generate(request);
        List<TextDelta> deltas = await Collect(stream);
        return (deltas, stream.Completion);
    }

    private static FakeModel NewModel(int[] answer)
    {
        int promptLength = 0;
        var model = new FakeModel(vocabulary: 4224);
        model.OnForward = batch => promptLength = batch.Sequences[0].FirstPosition == 0 ? batch.TokenCount : promptLength;
        model.Script = context => context.Length - promptLength < answer.Length ? answer[context.Length - promptLength] : null;
        return model;
    }

    private static async Task<List<TextDelta>> Collect(TextStream stream)
    {
        List<TextDelta> deltas = [];
        await foreach (TextDelta delta in stream)
            deltas.Add(delta);
        return deltas;
    }

    private static string Join(List<TextDelta> deltas) => string.Concat(deltas.Select(d => d.Text));

    private static string RandomText(Random random) =>
        string.Concat(Enumerable.Range(0, random.Next(1, 25)).Select(_ => Pieces[random.Next(Pieces.Length)]));

    /// <summary>Whole characters of the text itself, of a piece, or something that never comes.</summary>
    private static string RandomStop(Random random, string text)
    {
        if (random.Next(4) == 0)
            return Pieces[random.Next(Pieces.Length)] + Pieces[random.Next(Pieces.Length)];
        int[] starts = [.. System.Globalization.StringInfo.ParseCombiningCharacters(text)];
        int from = random.Next(starts.Length), to = Math.Min(starts.Length - 1, from + random.Next(1, 4));
        return from == to ? text[starts[from]..] : text[starts[from]..starts[to]];
    }

    /// <summary>The stop string whose end comes first counts, and of several that end there the longest.</summary>
    private static string BeforeFirstStop(string text, string[] stops)
    {
        for (int end = 1; end <= text.Length; end++)
        {
            string so = text[..end];
            string? hit = stops.Where(s => so.EndsWith(s, StringComparison.Ordinal)).MaxBy(s => s.Length);
            if (hit is not null)
                return so[..^hit.Length];
        }

        return text;
    }
}
