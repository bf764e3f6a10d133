using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Sluice.Text.Tokenization;

namespace Sluice.Text.Tests.Tokenization;

/// <summary>Merging against the definition: of all adjacent pairs with a rule, merge the one of lowest rank, leftmost first; repeat.</summary>
public sealed class MergeTests
{
    private const string Letters = "abc";

    // Merge lists over three letters as indices into the tokens made so far; short texts; both small, so that ties, overlaps and
    // crossings are everywhere.
    private static readonly Gen<(int, int)[]> Rules = Gen.Select(Gen.Int[0, 12], Gen.Int[0, 12]).Array[1, 14];
    private static readonly Gen<string> Text = Gen.String[Gen.Char[Letters], 0, 80];

    [Fact]
    public void Every_way_of_merging_gives_what_the_definition_gives()
    {
        int byLibrary = 0;
        int byTable = 0;
        Gen.Select(Rules, Gen.Bool, Gen.Int, Text.Array[8]).Sample(
            (rules, shuffled, seed, texts) =>
            {
                string[] merges = Spell(rules);
                if (shuffled)
                    new Random(seed).Shuffle(merges);

                // One piece for the whole text: no splitting.
                JsonObject file = TokenizerFiles.Create(merges);
                file["pre_tokenizer"] = TokenizerFiles.ByteLevel();
                Tokenizer tokenizer = file.Parse();
                Interlocked.Increment(ref tokenizer.UsesLibrary ? ref byLibrary : ref byTable);
                foreach (string text in texts)
                    Assert.Equal(Define(text, merges), tokenizer.Encode(text).Select(id => tokenizer.Decode([id])));
            },
            iter: 1000);

        Assert.True(byLibrary > 100 && byTable > 100, $"by the library {byLibrary}, by the table {byTable}");
    }

    [Fact]
    public void Library_and_table_agree_on_either_side_of_the_border_between_them()
    {
        Tokenizer tokenizer = TokenizerData.Demo;
        var random = new Random(11);
        for (int i = 0; i < 2000; i++)
        {
            // Letters only, so one piece.
            string text = new([.. Enumerable.Range(0, random.Next(1, 40)).Select(_ => "etaoinshrdlu"[random.Next(12)])]);
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
            Assert.Equal(tokenizer.Encode(text), DemoByTable(text));
        }
    }

    [Fact]
    public void A_megabyte_without_a_break_is_encoded_in_seconds()
    {
        Tokenizer tokenizer = TokenizerData.Demo;
        foreach (string unit in (ReadOnlySpan<string>)["a", "ab", "我", "the", "="])
        {
            string text = string.Concat(Enumerable.Repeat(unit, 1_000_000 / unit.Length));
            var clock = System.Diagnostics.Stopwatch.StartNew();
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), $"{unit}: {clock.Elapsed}");
        }
    }

    // "Aa" and "BB" have the same polynomial hash, and so have all texts of as many of the two.
    [Fact]
    public void Tokens_made_to_collide_are_kept_from_the_library()
    {
        Assert.True(Colliding(blocks: 6).UsesLibrary);
        Tokenizer tokenizer = Colliding(blocks: 7);
        Assert.False(tokenizer.UsesLibrary);
        Assert.Equal(["XAaAaAaAaBBBBBB", "BB", "C", "XAa"], tokenizer.Encode("XAaAaAaAaBBBBBBBBCXAa").Select(id => tokenizer.Decode([id])));
    }

    private static Tokenizer Colliding(int blocks)
    {
        List<string> merges = ["A a", "B B"];
        string[] tokens = ["X"];
        for (; blocks > 0; blocks--)
        {
            string[] rules = [.. tokens.SelectMany(token => (string[])[token + " Aa", token + " BB"])];
            merges.AddRange(rules);
            tokens = [.. rules.Select(rule => rule.Replace(" ", "", StringComparison.Ordinal))];
        }

        return TokenizerFiles.Create([.. merges]).Parse();
    }

    private static int[] DemoByTable(string text)
    {
        TokenizerDefinition definition = DemoDefinition.Value;
        var ids = new List<int>();
        new MergeTable(definition.Merges, definition.ByteIds).Encode(Encoding.UTF8.GetBytes(text), ids);
        return [.. ids];
    }

    private static readonly Lazy<TokenizerDefinition> DemoDefinition = new(
        () => TokenizerJson.Read(File.ReadAllBytes(Path.Combine(TokenizerData.RepositoryRoot, "models", "demo", "tokenizer.json"))));

    // Indices to "left right", dropping what would be too long.
    private static string[] Spell((int Left, int Right)[] rules)
    {
        var tokens = Letters.Select(letter => letter.ToString()).ToList();
        var merges = new List<string>();
        foreach ((int left, int right) in rules)
        {
            string l = tokens[left % tokens.Count];
            string r = tokens[right % tokens.Count];
            if (l.Length + r.Length > 10)
                continue;
            if (!tokens.Contains(l + r))
                tokens.Add(l + r);
            merges.Add($"{l} {r}");
        }

        return [.. merges];
    }

    private static string[] Define(string text, string[] merges)
    {
        List<string> symbols = [.. text.Select(c => c.ToString())];
        while (true)
        {
            // Of two rules for a pair the later counts, as in Hugging Face's table.
            (int rank, int at) = Enumerable.Range(0, Math.Max(symbols.Count - 1, 0))
                .Select(i => (Rank: Array.LastIndexOf(merges, $"{symbols[i]} {symbols[i + 1]}"), At: i))
                .Where(candidate => candidate.Rank >= 0)
                .DefaultIfEmpty((-1, -1))
                .Min();
            if (rank < 0)
                return [.. symbols];
            symbols[at] += symbols[at + 1];
            symbols.RemoveAt(at + 1);
        }
    }
}
