using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Sluice.Core;

namespace Sluice.Text.Tests.Tokenization;

/// <summary>
/// Damaged tokenizer files load and work, or are refused with a <see cref="TokenizerException"/>; nothing else happens, in bounded
/// time and memory. <c>SLUICE_FUZZ_TOKENIZER</c> sets how many (default 2,000), <c>SLUICE_FUZZ_SEED</c> the first seed (default 0).
/// </summary>
public sealed class TokenizerFuzzTests
{
    private static readonly TimeSpan TimeAllowed = TimeSpan.FromMinutes(1);

    // A pattern that has to be compiled takes about a megabyte, the library's cache another.
    private const long BytesAllowed = 24 << 20;

    private static readonly string[] Seeds = [.. SeedFiles().Select(file => file.ToJsonString())];

    private static readonly string[] Texts =
    [
        "", "ab abba <t><u> c\u0327 e\u0301 <é>", "  \t<|x|>\n\n we'll 'S\u017f 12345", "我们😀👨‍👩‍👧𝒜𝟘", "\ud800\ufffe\0", new string('a', 300), new string(' ', 300) + "b",
    ];

    [Fact]
    public async Task Damaged_files_load_or_are_refused()
    {
        int count = Setting("SLUICE_FUZZ_TOKENIZER", 2000);
        int first = Setting("SLUICE_FUZZ_SEED", 0);
        int loaded = 0;
        await Parallel.ForEachAsync(Enumerable.Range(first, count), TestContext.Current.CancellationToken, async (seed, cancellation) =>
        {
            byte[] file = new TokenizerMutator(seed).Mutate(Seeds[seed % Seeds.Length]);
            try
            {
                // On a thread of its own, so that a hang is seen.
                if (await Task.Run(() => TryUse(file), cancellation).WaitAsync(TimeAllowed, cancellation))
                    Interlocked.Increment(ref loaded);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"seed {seed}: {e.Message}\n{Encoding.UTF8.GetString(file)}", e);
            }
        });

        // Neither outcome may crowd out the other, or the test tests little.
        if (count >= 1000)
            Assert.InRange(loaded, count / 20, count * 19 / 20);
    }

    // Returns whether it loaded.
    private static bool TryUse(byte[] file)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        Tokenizer? tokenizer = null;
        try
        {
            tokenizer = Tokenizer.Parse(file);
            foreach (string text in Texts)
                Use(tokenizer, text);
        }
        catch (TokenizerException e)
        {
            Assert.DoesNotContain('\n', e.Message);
        }

        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated < BytesAllowed, $"{allocated} bytes allocated for a file of {file.Length}");
        return tokenizer is not null;
    }

    private static void Use(Tokenizer tokenizer, string text)
    {
        int[] plain = tokenizer.Encode(text);
        Assert.All(plain, id => Assert.InRange(id, 0, tokenizer.VocabularySize - 1));
        int half = text.Length / 2;
        int[] prompt = tokenizer.Encode([new PromptSegment(text[..half], FromTemplate: true), new PromptSegment(text[half..], FromTemplate: false)]);
        int[] parsed = tokenizer.Encode(text, parseSpecial: true);
        foreach (int[] ids in (ReadOnlySpan<int[]>)[plain, prompt, parsed])
        {
            var decoder = new StreamingDecoder(tokenizer, skipSpecial: false);
            Assert.Equal(tokenizer.Decode(ids), string.Concat(ids.Select(decoder.Append)) + decoder.Flush());
            tokenizer.Decode(ids, skipSpecial: true);
        }
    }

    private static IEnumerable<JsonObject> SeedFiles()
    {
        JsonObject ordinary = TokenizerFiles.Create("a b", "ab b", "Ġ a", "Ġ Ġ");
        yield return ordinary.With(TokenizerFiles.AddedToken(260, "<t>"), TokenizerFiles.AddedToken(261, "<é>", special: false, normalized: true));

        JsonObject flags = TokenizerFiles.AddedToken(259, "<u>");
        foreach (string flag in (ReadOnlySpan<string>)["lstrip", "rstrip", "single_word"])
            flags[flag] = true;
        JsonObject pairs = TokenizerFiles.Create("a b", "b a", "ab ba").With(flags, TokenizerFiles.AddedToken(97, "a", special: false));
        pairs["model"]!["merges"] = new JsonArray(new JsonArray("a", "b"), new JsonArray("b", "a"), new JsonArray("ab", "ba"));
        pairs["model"]!["ignore_merges"] = true;
        yield return pairs;

        // Its own pattern, and rules that only the table can run.
        JsonObject irregular = TokenizerFiles.Create("b b", "a b", "ab b", "a bb");
        irregular["pre_tokenizer"]!["pretokenizers"]!.AsArray().Insert(0, JsonNode.Parse("""
            {"type":"Split","pattern":{"Regex":"\\p{N}{1,3}|(?i:'ll|x)++|[^\\s\\p{L}a-z-]+?|(?<!a)b"},"behavior":"Isolated","invert":true}
            """));
        yield return irregular;

        JsonObject gpt2 = TokenizerFiles.Create("Ġ w", "e l");
        gpt2["pre_tokenizer"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["use_regex"] = true };
        gpt2["normalizer"] = null;
        yield return gpt2;
    }

    private static int Setting(string name, int absent) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : absent;
}
