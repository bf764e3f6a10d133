using System.Text;
using Sluice.Text.Tokenization;

namespace Sluice.Text.Tests.Tokenization;

public sealed class RoundTripTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Random_text_comes_back_composed(bool qwen)
    {
        Tokenizer tokenizer = qwen ? TokenizerData.Qwen3 : TokenizerData.Demo;
        for (int seed = 0; seed < 3000; seed++)
        {
            string text = RandomText.Next(new Random(seed), 40, loneSurrogates: true);
            string expected = Composition.Compose(Scalars(text));
            string actual = tokenizer.Decode(tokenizer.Encode(text));
            Assert.True(expected == actual, $"seed {seed}");
        }
    }

    [Fact]
    public void Each_lone_surrogate_becomes_one_replacement_character()
    {
        Tokenizer tokenizer = TokenizerData.Demo;
        Assert.Equal("\uFFFDa\uFFFD\uFFFD😀\uFFFD", tokenizer.Decode(tokenizer.Encode("\uD800a\uDC00\uD83D\uD83D\uDE00\uD83D")));
    }

    [Fact]
    public void The_two_halves_of_a_character_in_two_segments_meet()
    {
        Tokenizer tokenizer = TokenizerData.Demo;
        PromptSegment[] prompt = [new("\uD83D", FromTemplate: true), new("\uDE00", FromTemplate: false)];
        Assert.Equal(tokenizer.Encode("😀"), tokenizer.Encode(prompt));
    }

    [Fact]
    public void U_FFFE_does_not_stop_composition_around_it() =>
        Assert.Equal("é\uFFFEé", TokenizerData.Demo.Decode(TokenizerData.Demo.Encode("e\u0301\uFFFEe\u0301")));

    [Fact]
    public void Empty_text_is_no_tokens()
    {
        Assert.Empty(TokenizerData.Demo.Encode(""));
        Assert.Empty(TokenizerData.Demo.Encode([]));
        Assert.Empty(TokenizerData.Demo.Encode([new PromptSegment("", FromTemplate: true), new PromptSegment("", FromTemplate: false)]));
        Assert.Equal("", TokenizerData.Demo.Decode([]));
    }

    [Fact]
    public void Many_threads_get_the_same_ids()
    {
        Tokenizer tokenizer = TokenizerData.Demo;
        string[] texts = [.. Enumerable.Range(0, 200).Select(seed => RandomText.Next(new Random(seed), 40))];
        int[][] expected = [.. texts.Select(text => tokenizer.Encode(text))];
        Parallel.For(0, 2000, i => Assert.Equal(expected[i % texts.Length], tokenizer.Encode(texts[i % texts.Length])));
    }

    // Enumerating scalar values replaces surrogates without a partner.
    private static string Scalars(string text)
    {
        var scalars = new StringBuilder();
        foreach (Rune rune in text.EnumerateRunes())
            scalars.Append(rune.ToString());
        return scalars.ToString();
    }
}
