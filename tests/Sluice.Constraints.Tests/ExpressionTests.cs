using System.Text;
using System.Text.RegularExpressions;
using Sluice.Constraints.Automata;
using Sluice.Constraints.Expressions;
using Sluice.Core;

namespace Sluice.Constraints.Tests;

/// <summary>Regular expressions against .NET's.</summary>
public sealed class ExpressionTests
{
    private static readonly string[] Atoms =
        ["a", "b", "c", "é", "😀", ".", "[ab]", "[^a]", "[a-c]", "[^\\n]", "\\d", "\\w", "\\.", "0", " ", "(?:a|b)", "(a|)", "(?<n>bc)", "x", "[-a]", "\\x61", "\\u00e9", "[\\d_]", "\\-"];

    private static readonly string[] Counts = ["", "", "", "*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?", "+?"];
    private static readonly string[] Characters = ["a", "b", "c", "é", "😀", "\n", "0", "7", " ", "x", "_", "-", ".", "z", "è"];

    private static int Count => int.TryParse(Environment.GetEnvironmentVariable("SLUICE_FUZZ_EXPRESSIONS"), out int count) ? count : 800;

    [Fact]
    public void Random_expressions_match_what_dotnet_matches()
    {
        int matched = 0, tooLarge = 0;
        for (int seed = 0; seed < Count; seed++)
        {
            var random = new Random(seed);
            string source = RandomExpression(random, 0);
            if (TryCompile(ExpressionParser.ParseWhole, source) is not { } whole || TryCompile(ExpressionParser.ParseSearch, source) is not { } search)
            {
                tooLarge++;
                continue;
            }

            var dotnet = Dotnet($"^(?:{source})\\z");
            var dotnetSearch = Dotnet(source);
            for (int i = 0; i < 30; i++)
            {
                string text = string.Concat(Enumerable.Range(0, random.Next(7)).Select(_ => Characters[random.Next(Characters.Length)]));
                bool expected = dotnet.IsMatch(Shadow(text));
                matched += expected ? 1 : 0;
                Assert.True(expected == whole.Accepts(Encoding.UTF8.GetBytes(text)), $"seed {seed}: {source} on \"{text}\": expected {expected}");
                bool found = dotnetSearch.IsMatch(Shadow(text));
                Assert.True(found == search.Accepts(Encoding.UTF8.GetBytes(text)), $"seed {seed}: searching {source} in \"{text}\": expected {found}");
            }
        }

        Assert.True(matched > Count, $"only {matched} texts matched");
        Assert.True(tooLarge < Count / 20, $"{tooLarge} expressions were refused as too large");
    }

    private static Dfa? TryCompile(Func<string, CompileBudget, Pattern> parse, string source)
    {
        try
        {
            return parse(source, Budget()).Compile(Budget(), "test");
        }
        catch (RequestException e) when (e.Code == "constraint_too_complex")
        {
            return null;
        }
    }

    [Theory]
    [InlineData("^ab$", "ab", true)]
    [InlineData("^ab$", "xab", false)]
    [InlineData("^a", "ab", true)]
    [InlineData("b$", "ab", true)]
    [InlineData("b$", "ba", false)]
    [InlineData("^$", "", true)]
    [InlineData("^$", "a", false)]
    [InlineData("^", "anything", true)]
    [InlineData("(^a|b)c", "xbc", true)]
    [InlineData("(^a|b)c", "xac", false)]
    [InlineData("^(a|b$)", "ax", true)]
    [InlineData("^(a|b$)", "bx", false)]
    [InlineData("", "x\ny", true)]
    [InlineData("^[^]$", "x", true)]
    [InlineData("^[]$", "x", false)]
    [InlineData("^\\p{Lu}\\p{Ll}+$", "Žena", true)]
    [InlineData("^\\p{L}$", "1", false)]
    [InlineData("^\\u{1F600}$", "😀", true)]
    [InlineData("^\\ud83d\\ude00$", "😀", true)]
    [InlineData("^[\\ud83d\\ude00-\\ud83d\\ude4f]$", "😁", true)]
    [InlineData("^\\s$", "\u00a0", true)]
    [InlineData("^\\cJ$", "", null)]
    public void Searches_find(string source, string text, bool? expected)
    {
        if (expected is null)
            Assert.Throws<RequestException>(() => ExpressionParser.ParseSearch(source, Budget()));
        else
            Assert.Equal(expected, ExpressionParser.ParseSearch(source, Budget()).Compile(Budget(), "test").Accepts(Encoding.UTF8.GetBytes(text)));
    }

    [Theory]
    [InlineData("foo**")]
    [InlineData("a{2}{3}")]
    [InlineData("a*+")]
    [InlineData("(")]
    [InlineData(")")]
    [InlineData("[a")]
    [InlineData("[b-a]")]
    [InlineData("*a")]
    [InlineData("a{3,2}")]
    [InlineData("a{1,99999999999}")]
    [InlineData("\\")]
    [InlineData("\\q")]
    [InlineData("(?=a)")]
    [InlineData("(?<!a)b")]
    [InlineData("(?i)a")]
    [InlineData("(a)\\1")]
    [InlineData("\\bword")]
    [InlineData("a^b")]
    [InlineData("^*")]
    [InlineData("\\p{Greek}")]
    [InlineData("\\ud83d")]
    [InlineData("{")]
    [InlineData("x{,3}")]
    public void What_is_not_regular_or_not_an_expression_is_refused(string source)
    {
        RequestException error = Assert.Throws<RequestException>(() => Vocabularies.Compiler.Compile(new RegexSpec(source) { Field = "regex" }));
        Assert.Equal("regex", error.Parameter);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void Every_scalar_value_is_its_own_text()
    {
        // Ranges that begin and end everywhere in the encoding's structure.
        var random = new Random(3);
        int[] edges = [0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFF, 0x1000, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x3FFFF, 0x40000, 0xFFFFF, 0x100000, 0x10FFFF];
        for (int i = 0; i < 60; i++)
        {
            int first = Near(edges, random), last = Near(edges, random);
            if (first > last)
                (first, last) = (last, first);
            CodePointSet set = CodePointSet.Of((first, last));
            Dfa dfa = new SetPattern(set).Compile(Budget(), "test");
            foreach (int value in edges.SelectMany(edge => new[] { edge - 1, edge, edge + 1 }).Concat([first - 1, first, last, last + 1]).Where(Rune.IsValid))
                Assert.Equal(first <= value && value <= last, dfa.Accepts(Encoding.UTF8.GetBytes(new Rune(value).ToString())));
        }
    }

    private static int Near(int[] edges, Random random) => Math.Clamp(edges[random.Next(edges.Length)] + random.Next(-70, 71), 0, 0x10FFFF);

    private static CompileBudget Budget() => new(new ConstraintLimits { AutomatonStates = 3000 }, CancellationToken.None);

    // .NET matches UTF-16 units: an astral character is stood in for by one that is not used otherwise.
    private static string Shadow(string text) => text.Replace("😀", "☺", StringComparison.Ordinal);

    // ECMAScript's classes and dot, spelled so that the engine that cannot run away understands them.
    private static Regex Dotnet(string source) => new(
        Shadow(source).Replace("[\\d_]", "[0-9_]", StringComparison.Ordinal).Replace("\\d", "[0-9]", StringComparison.Ordinal).Replace("\\w", "[a-zA-Z0-9_]", StringComparison.Ordinal),
        RegexOptions.NonBacktracking | RegexOptions.CultureInvariant, TimeSpan.FromSeconds(10));

    private static string RandomExpression(Random random, int depth)
    {
        var source = new StringBuilder();
        int parts = random.Next(1, 5);
        for (int i = 0; i < parts; i++)
        {
            string atom = depth < 3 && random.Next(5) == 0 ? $"({RandomExpression(random, depth + 1)})" : Atoms[random.Next(Atoms.Length)];
            source.Append(atom).Append(Counts[random.Next(Counts.Length)]);
            if (i < parts - 1 && random.Next(6) == 0)
                source.Append('|');
        }

        return source.ToString();
    }
}
