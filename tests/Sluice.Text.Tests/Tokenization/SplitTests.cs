using System.Globalization;
using System.Text.Json;
using Sluice.Core;
using Sluice.Text.Tokenization;

namespace Sluice.Text.Tests.Tokenization;

public sealed class SplitTests
{
    [Fact]
    public void Patterns_split_as_the_reference_does()
    {
        using JsonDocument document = TokenizerData.Read("tokenizer_cases.json.gz");
        foreach (JsonElement element in document.RootElement.GetProperty("splits").EnumerateArray())
        {
            var splitter = new PieceSplitter([.. element.GetProperty("patterns").EnumerateArray().Select(pattern => pattern.GetString()!)]);
            foreach (JsonElement test in element.GetProperty("cases").EnumerateArray())
            {
                string text = test.GetProperty("text").GetString()!;
                string[] expected = [.. test.GetProperty("pieces").EnumerateArray().Select(piece => piece.GetString()!)];
                Assert.Equal(expected, Split(text, splitter));
            }
        }
    }

    // Each known pattern is written twice: for the generated regex by hand, and by the translation that serves unknown ones.
    [Theory]
    [InlineData(SplitPatterns.Gpt2)]
    [InlineData(SplitPatterns.Qwen2)]
    [InlineData(SplitPatterns.Qwen35)]
    [InlineData(SplitPatterns.Llama3)]
    public void Known_patterns_split_as_their_translations(string pattern)
    {
        var known = new PieceSplitter([pattern]);
        var translated = new PieceSplitter([$"(?:{pattern})"]);
        var random = new Random(5);
        for (int i = 0; i < 500; i++)
        {
            string text = RandomText.Next(random, 60);
            Assert.Equal(Split(text, translated), Split(text, known));
        }
    }

    [Fact]
    public void Stand_ins_have_the_category_of_every_astral_character()
    {
        for (int code = 0x10000; code <= 0x10FFFF; code++)
        {
            UnicodeCategory category = CharUnicodeInfo.GetUnicodeCategory(code);
            char standIn = AstralShadow.StandInFor(category);
            Assert.True(
                CharUnicodeInfo.GetUnicodeCategory(standIn) == category,
                $"U+{code:X} is {category}, its stand-in U+{(int)standIn:X4} is {CharUnicodeInfo.GetUnicodeCategory(standIn)}");
        }
    }

    [Theory]
    [InlineData("^a", "anchor ^")]
    [InlineData("a$", "anchor $")]
    [InlineData(@"\w+", @"\w")]
    [InlineData(@"\bx", @"\b")]
    [InlineData(@"\h", @"\h")]
    [InlineData(@"\p{Han}", @"\p{Han}")]
    [InlineData(@"\p{IsGreek}", @"\p{IsGreek}")]
    [InlineData(@"\pL", @"\p without")]
    [InlineData("[a[bc]]", "set inside a class")]
    [InlineData("[a&&b]", "set inside a class")]
    [InlineData("[[:alpha:]]", "set inside a class")]
    [InlineData("[a-z-[aeiou]]", "bare -")]
    [InlineData("[z-a]", "range")]
    [InlineData("[a-", "range")]
    [InlineData(@"[\s-z]", "range")]
    [InlineData("[]", "class that is empty")]
    [InlineData("[a", "class")]
    [InlineData("(a", "without its )")]
    [InlineData("a)", "unmatched )")]
    [InlineData("(?<name>a)", "(?<n")]
    [InlineData("(?i)a", "(?i)")]
    [InlineData("(?#x)", "(?#x")]
    [InlineData("(?i:ss)", "ss where case is ignored")]
    [InlineData("(?i:é)", "U+00E9")]
    [InlineData("(?i:[a-z])", "range where case is ignored")]
    [InlineData("(?i:[^a])", "negated class")]
    [InlineData("*a", "nothing to repeat")]
    [InlineData("a**", "after a quantifier")]
    [InlineData("a{2}+", "after a quantifier")]
    [InlineData("a{,3}", "{n,m}")]
    [InlineData("a{3,2}", "{n,m}")]
    [InlineData("a{100000}", "{n,m}")]
    [InlineData("a{", "{n,m}")]
    [InlineData("(?=a)*", "repeated look-around")]
    [InlineData("😀", "U+D83D")]
    [InlineData("[\\u0080-\\uFFFF]", "range U+0080")]
    [InlineData("\\", "\\ at the end")]
    [InlineData(@"\u12", @"\u")]
    [InlineData("", "1 to 4096")]
    public void What_dialects_read_differently_is_refused_by_name(string pattern, string named)
    {
        string message = Assert.Throws<TokenizerException>(() => SplitPatterns.Compile(pattern)).Message;
        Assert.Contains(named, message);
        Assert.DoesNotContain('\n', message);
    }

    [Fact]
    public void Deep_nesting_is_refused() => Assert.Throws<TokenizerException>(
        () => SplitPatterns.Compile(new string('(', 1000) + "a" + new string(')', 1000)));

    [Fact]
    public void A_pattern_that_explodes_is_cut_off()
    {
        var splitter = new PieceSplitter([@"(?:a|aa)+\p{N}"]);
        var e = Assert.Throws<TokenizerException>(() => splitter.Split(new string('a', 60), []));
        Assert.Contains("takes too long", e.Message);
    }

    [Theory]
    [InlineData(SplitPatterns.Gpt2)]
    [InlineData(SplitPatterns.Qwen2)]
    [InlineData(SplitPatterns.Qwen35)]
    [InlineData(SplitPatterns.Llama3)]
    public void Known_patterns_take_linear_time(string pattern)
    {
        // 300,000 characters of what invites backtracking; quadratic time would be minutes.
        var splitter = new PieceSplitter([pattern]);
        foreach (string unit in (ReadOnlySpan<string>)[" ", "\t \u3000", "a", "\u0301", "!", "\n", " \n", "'", "1", "a\u0301!"])
        {
            string text = string.Concat(Enumerable.Repeat(unit, 300_000 / unit.Length)) + "x";
            var pieces = new List<Range>();
            splitter.Split(text, pieces);
            Assert.Equal(text.Length, pieces.Sum(piece => piece.GetOffsetAndLength(text.Length).Length));
        }
    }

    private static string[] Split(string text, PieceSplitter splitter)
    {
        var pieces = new List<Range>();
        splitter.Split(text, pieces);
        return [.. pieces.Select(piece => text[piece])];
    }
}
