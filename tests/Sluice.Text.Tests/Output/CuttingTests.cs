using System.Diagnostics;
using System.Text;
using System.Text.Json;
using CsCheck;
using Sluice.Text.Output;

namespace Sluice.Text.Tests.Output;

/// <summary>
/// What comes out does not depend on how the text was cut, and nothing is lost or comes twice. <c>SLUICE_FUZZ_OUTPUT</c> sets how many
/// made-up outputs (4,000 by default), <c>SLUICE_FUZZ_SEED</c> where they start.
/// </summary>
public sealed class CuttingTests
{
    private static readonly string[] Pieces =
    [
        "<think>", "</think>", "<tool_call>", "</tool_call>", "<function=", "</function>", "<parameter=", "</parameter>", "\n", "\n\n", " ", "<", "</", ">",
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u00e9", "{}", "null", "true", "-1.5e3", "\"name\": ", "\"arguments\": ", "\"buy\"", "\"get_time\"",
        "buy>", "get_time>", "item>", "count>", "to>", "note>", "tags>", "text", "🙂", "12", "\u0001", "<tool_call>\n{\"name\": \"buy\", \"arguments\": {",
        "}}\n</tool_call>", "<tool_call>\n<function=buy>\n<parameter=item>\n", "\n</parameter>\n<parameter=count>\n", "\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>\n{\"name\": \"get_time\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>\n",
    ];

    private static readonly string[] Whole =
    [
        "<think>\nLet me see.\n</think>\n\nYes.\n<tool_call>\n{\"name\": \"buy\", \"arguments\": {\"item\": \"a\\\"b\", \"count\": 3}}\n</tool_call>\n<tool_call>\n{\"name\": \"get_time\"}\n</tool_call>\nDone.",
        "<tool_call>\n<function=buy>\n<parameter=item>\na\n</parameter>\n\nb\n</parameter>\n<parameter=count>\n3\n</parameter>\n<parameter=note>\nnull\n</parameter>\n</function>\n</tool_call>\nDone.\n",
        "<think>\n<tool_call>\n{\"name\": \"buy\"}\n</tool_call>\n<tool_call>{\"name\": \"buy\", \"arguments\": {\"a\": [1, {\"b\": -0.5e1}]}}</tool_call>\n",
        "<tool_call>\n{\"name\": \"buy\", \"arguments\": {\"item\": \"a\", oops}}\n</tool_call>",
    ];

    [Fact]
    public void Every_cutting_in_three_gives_the_same()
    {
        foreach (string text in Whole)
        {
            foreach (OutputFormat format in (OutputFormat[])[OutputRun.Json, OutputRun.Xml])
            {
                List<OutputPart> expected = OutputRun.Merge(OutputRun.Parts([text], format, OutputRun.Options()));
                Assert.Equal(expected, OutputRun.Merge(OutputRun.Parts(text.Select(c => c.ToString()), format, OutputRun.Options())));
                for (int first = 0; first <= text.Length; first++)
                {
                    for (int second = first; second <= text.Length; second++)
                        Assert.Equal(expected, OutputRun.Merge(OutputRun.Parts(OutputRun.Cut(text, first, second), format, OutputRun.Options())));
                }
            }
        }
    }

    [Fact]
    public void Made_up_outputs_keep_the_rules()
    {
        int count = Setting("SLUICE_FUZZ_OUTPUT", 4000);
        int seed = Setting("SLUICE_FUZZ_SEED", 20250301);
        int called = 0, incomplete = 0;
        for (int i = 0; i < count; i++)
        {
            var random = new Random(seed + i);
            OutputFormat format = random.Next(2) == 0 ? OutputRun.Json : OutputRun.Xml;
            bool inReasoning = random.Next(4) == 0;
            string text = MakeUp(random);
            try
            {
                ParsedOutput output = CheckOne(text, format, inReasoning, random);
                called += output.ToolCalls.Count(call => call.IsComplete);
                incomplete += output.ToolCalls.Count(call => !call.IsComplete);
            }
            catch (Exception error)
            {
                throw new InvalidOperationException($"seed {seed + i}, {format.ToolCalls}, in reasoning: {inReasoning}: {JsonEncodedText.Encode(text)}", error);
            }
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{count} outputs: {called} calls, {incomplete} incomplete");
        Assert.True(called > 0 && incomplete > 0);
    }

    [Fact]
    public void Time_is_linear_in_the_text()
    {
        string[] texts =
        [
            Repeat("<tool_call>"), Repeat("<tool_call>\n{\"name\": "), Repeat("<"), Repeat("\n"), Repeat("</parameter>\n"), Repeat("<think>\n"),
            "<tool_call>\n<function=buy>\n<parameter=item>\n" + Repeat("\n</parameter>\n<para"),
            "<tool_call>\n<function=buy>\n<parameter=to>\n{" + Repeat("\n</parameter>\n"),
            "<tool_call>{\"arguments\": {\"a\": \"" + Repeat("x\n"),
            "<think>" + Repeat("<tool_call>{\"name\": \"buy\"}</tool_call>\n"),
        ];
        foreach (string text in texts)
        {
            foreach (OutputFormat format in (OutputFormat[])[OutputRun.Json, OutputRun.Xml])
            {
                long start = Stopwatch.GetTimestamp();
                _ = OutputParser.Parse(text, format, OutputRun.Options());

                // Linear time is some tens of milliseconds; quadratic, minutes.
                Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(5), text[..40]);
            }
        }

        static string Repeat(string piece) => new StringBuilder().Insert(0, piece, 500_000 / piece.Length).ToString();
    }

    [Fact]
    public void The_scanner_takes_what_is_json()
    {
        string[] pieces =
        [
            "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\\", "\\n", "\\u12", "\\u00e9", "0", "1", "-", ".", "e", "+", "true", "nul", "null", " ", "\n", "x", "é",
        ];
        Gen.Int[0, pieces.Length - 1].Select(i => pieces[i]).Array[0, 12].Sample(
            parts =>
            {
                string text = string.Concat(parts);
                string trimmed = text.Trim();
                Assert.Equal(IsJson(JsonScanner.Normalise(trimmed) ?? trimmed), JsonScanner.Normalise(trimmed) is not null);
            },
            iter: 50_000);
        Assert.NotNull(JsonScanner.Normalise(new string('[', 64) + new string(']', 64)));
        Assert.Null(JsonScanner.Normalise(new string('[', 65) + new string(']', 65)));
    }

    private static ParsedOutput CheckOne(string text, OutputFormat format, bool inReasoning, Random random)
    {
        OutputParserOptions Options(bool stream = true) => OutputRun.Options(stream, inReasoning);
        List<OutputPart> expected = OutputRun.Merge(OutputRun.Parts([text], format, Options()));
        Assert.Equal(expected, OutputRun.Merge(OutputRun.Parts(text.Select(c => c.ToString()), format, Options())));
        int[] places = [.. Enumerable.Range(0, random.Next(6)).Select(_ => random.Next(text.Length + 1)).Order()];
        Assert.Equal(expected, OutputRun.Merge(OutputRun.Parts(OutputRun.Cut(text, places), format, Options())));

        ParsedOutput output = ParsedOutput.Of(expected);
        List<OutputPart> buffered = OutputRun.Merge(OutputRun.Parts([text], format, Options(stream: false)));
        ParsedOutput whole = ParsedOutput.Of(buffered);
        Assert.All(whole.ToolCalls, call => Assert.True(call.IsComplete));
        if (output.ToolCalls.All(call => call.IsComplete))
            Assert.Equal(expected, buffered);
        if (!inReasoning && whole.ToolCalls.Count == 0 && !text.TrimStart().StartsWith("<think>", StringComparison.Ordinal))
            Assert.Equal(text, whole.Content);

        // Each mark comes out once. Only a call's JSON may hold members that nobody reads.
        string all = output.Reasoning + output.Content + string.Concat(output.ToolCalls.Select(call => call.Name + call.Arguments));
        foreach (char mark in text.Where(IsMark))
        {
            int times = all.Count(c => c == mark);
            Assert.True(times == 1 || (times == 0 && format == OutputRun.Json && output.ToolCalls.Count > 0), $"mark {(int)mark:x} comes {times} times");
        }

        return output;
    }

    private static bool IsMark(char c) => c is >= '\ue000' and < '\uf000';

    // Pieces with marks between them, each a character of its own, or a whole output with some of them changed.
    private static string MakeUp(Random random)
    {
        var text = new StringBuilder(random.Next(2) == 0 ? "" : Whole[random.Next(Whole.Length)]);
        char mark = '\ue000';
        for (int edits = random.Next(text.Length == 0 ? 12 : 4); edits >= 0; edits--)
        {
            int at = text.Length == 0 || random.Next(3) == 0 ? text.Length : random.Next(text.Length);

            // Not into the middle of a character.
            if (at < text.Length && char.IsLowSurrogate(text[at]))
                at++;
            string piece = Pieces[random.Next(Pieces.Length)];
            text.Insert(at, random.Next(3) == 0 ? piece + mark++ : piece);
        }

        if (random.Next(4) == 0)
            text.Length = random.Next(text.Length + 1);
        return text.ToString();
    }

    private static bool IsJson(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static int Setting(string name, int fallback) => int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : fallback;
}
