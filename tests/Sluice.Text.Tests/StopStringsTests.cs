using System.Text;
using CsCheck;
using Sluice.Core;

namespace Sluice.Text.Tests;

public sealed class StopStringsTests
{
    // Two letters, so that stop strings overlap themselves, each other and the text's borders all the time.
    private static readonly Gen<string[]> Stops = Gen.String[Gen.Char["ab"], 1, 5].Array[0, 4];
    private static readonly Gen<string[]> Parts = Gen.String[Gen.Char["abc"], 0, 6].Array[0, 10];

    [Fact]
    public void Any_cutting_gives_what_searching_the_whole_text_gives() => Gen.Select(Stops, Parts).Sample(
        (stops, parts) =>
        {
            var matcher = new StopStrings(stops);
            var emitted = new StringBuilder();
            var all = new StringBuilder();
            bool stopped = false;
            foreach (string part in parts)
            {
                stopped = matcher.Append(part, emitted);
                all.Append(part);
                (int start, bool found) = Define(all.ToString(), stops);
                Assert.Equal(found, stopped);
                Assert.Equal(all.ToString(0, found ? start : all.Length - MayBegin(all.ToString(), stops)), emitted.ToString());
            }

            matcher.Flush(emitted);
            string text = string.Concat(parts);
            Assert.Equal(stopped ? text[..Define(text, stops).Start] : text, emitted.ToString());
        },
        iter: 20_000);

    [Fact]
    public void Nothing_follows_a_stop_string()
    {
        var matcher = new StopStrings(["END"]);
        var emitted = new StringBuilder();
        Assert.False(matcher.Append("before E", emitted));
        Assert.Equal("before ", emitted.ToString());
        Assert.True(matcher.Append("NDafter", emitted));
        Assert.True(matcher.Append("more", emitted));
        matcher.Flush(emitted);
        Assert.Equal("before ", emitted.ToString());
    }

    [Fact]
    public void Held_text_comes_out_at_the_end()
    {
        var matcher = new StopStrings(["\n\nUser:"]);
        var emitted = new StringBuilder();
        Assert.False(matcher.Append("answer\n\nUser", emitted));
        Assert.Equal("answer", emitted.ToString());
        matcher.Flush(emitted);
        Assert.Equal("answer\n\nUser", emitted.ToString());
    }

    [Fact]
    public void Without_stop_strings_nothing_is_held()
    {
        var emitted = new StringBuilder();
        Assert.False(new StopStrings([]).Append("text", emitted));
        Assert.Equal("text", emitted.ToString());
    }

    [Fact]
    public void An_empty_stop_string_is_refused() => Assert.Throws<RequestException>(() => new StopStrings(["a", ""]));

    [Fact]
    public void A_long_stop_string_against_its_own_beginnings_takes_linear_time()
    {
        var matcher = new StopStrings([new string('a', 10_000) + "b"]);
        var emitted = new StringBuilder();
        string part = new('a', 1000);
        for (int i = 0; i < 2000; i++)
            Assert.False(matcher.Append(part, emitted));
        Assert.Equal(2_000_000 - 10_000, emitted.Length);
    }

    // The first stop string to be complete counts, and of several complete at once the longest.
    private static (int Start, bool Found) Define(string text, string[] stops)
    {
        for (int end = 1; end <= text.Length; end++)
        {
            string[] complete = [.. stops.Where(stop => text.AsSpan(0, end).EndsWith(stop))];
            if (complete.Length > 0)
                return (end - complete.Max(stop => stop.Length), true);
        }

        return (text.Length, false);
    }

    // The longest end of the text that is a proper beginning of a stop string.
    private static int MayBegin(string text, string[] stops) => Enumerable.Range(0, text.Length + 1)
        .Where(length => stops.Any(stop => stop.Length > length && stop.StartsWith(text[^length..], StringComparison.Ordinal)))
        .DefaultIfEmpty(0)
        .Max();
}
