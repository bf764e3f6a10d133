using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Text.Jinja;

namespace Sluice.Text.Tests.Jinja;

/// <summary>
/// Mutated templates over mutated inputs: each renders or is a <see cref="TemplateException"/>, soon and within its memory.
/// <c>SLUICE_FUZZ_JINJA</c> sets how many (3,000 by default), <c>SLUICE_FUZZ_SEED</c> where they start.
/// </summary>
public sealed class JinjaFuzz
{
    // Real templates need a hundredth of this; a runaway must not hold up the campaign.
    private static readonly JinjaLimits Limits = new() { Fuel = 300_000, AllocatedBytes = 32 << 20, OutputLength = 1 << 20 };

    private static readonly string[] Pieces =
    [
        "{{", "}}", "{%", "%}", "{#", "#}", "-", "+", "*", "/", "//", "**", "%", "~", "(", ")", "[", "]", "{", "}", ".", ",", ":", "|", "=", "==", "<",
        " in ", " is ", " not ", " and ", " or ", " if ", " else ", "for x in ", "{% endfor %}", "{% endif %}", "{% else %}", "{% if x %}",
        "{% set x = ", "{% macro m(a, b=1) %}", "{% endmacro %}", "{{ m(", "{% raw %}", "{% endraw %}", "{% break %}", "loop", "loop.index",
        "loop.last", "loop.nextitem", "namespace(a=1)", "ns.a", "range(", "range(100000)", "dict(", "messages", "message", "content", "role",
        "none", "true", "false", "0", "1", "-1", "9999999999", "1e308", "0.1", "10**", "'x'*", "''", "'a'", "\"\\u00e9\"", "'{}'", "'%s'",
        "'{:>10}'.format(", "'%5d' %", "[::-1]", "[1:]", "|length", "|tojson", "|tojson(indent=2)", "|list", "|map('upper')", "|select",
        "|selectattr('role')", "|groupby('role')", "|sort", "|unique", "|join(',')", "|first", "|last", "|string", "|int", "|float", "|round",
        "|replace('a','b')", "|indent", "|truncate(5)", "|batch(2)", "|slice(3)", "|dictsort", "|items", "|reverse", "|safe", "|e", "|default(1)",
        "|format(1)", "|trim", "|title", "|center(20)", "|urlencode", "|filesizeformat", "|sum", "|min", "|max", "|abs",
        ".split('a')", ".items()", ".get('x')", ".upper()", ".strip()", ".replace('','x')", ".join(", ".splitlines()", ".zfill(9)", ".append(1)",
        ".__class__", " is defined", " is mapping", " is odd", " is divisibleby(0)", "raise_exception('x')", "strftime_now('%c')", "🙂", "\u0000", "\ud800", "\n", "é",
    ];

    private static readonly JsonNode?[] Values =
    [
        null, true, false, 0, -1, 1.5, "", "x", "<|im_start|>", "<think>a</think>b", "🙂é\n", new JsonArray(), new JsonObject(),
        new JsonArray("a", 1, null), new JsonObject { ["type"] = "text", ["text"] = "t" }, "user", "assistant", "tool", "system",
    ];

    [Fact]
    public void MutantsRenderOrFailCleanly()
    {
        int count = Setting("SLUICE_FUZZ_JINJA", 3000);
        int seed = Setting("SLUICE_FUZZ_SEED", 20250102);
        (string[] templates, JsonObject[] inputs) = Corpus();
        int rendered = 0;
        TimeSpan slowest = TimeSpan.Zero;
        for (int i = 0; i < count; i++)
        {
            Random random = new(seed + i);
            string source = Mutate(templates[random.Next(templates.Length)], templates, random);
            JsonObject given = (JsonObject)Mutate(inputs[random.Next(inputs.Length)], random, 0)!;
            Stopwatch watch = Stopwatch.StartNew();
            rendered += Run(source, given, seed + i) ? 1 : 0;
            if (watch.Elapsed > slowest)
            {
                slowest = watch.Elapsed;
            }

            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(30), $"seed {seed + i} took {watch.Elapsed}:\n{source}\n{given.ToJsonString()}");
        }

        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{count} mutants: {rendered} rendered, {count - rendered} refused; slowest {slowest.TotalMilliseconds:0} ms; peak {Process.GetCurrentProcess().PeakWorkingSet64 >> 20} MiB");
        Assert.InRange(rendered, count / 50, count);
    }

    private static bool Run(string source, JsonObject inputs, int seed)
    {
        try
        {
            IReadOnlyList<PromptSegment> segments = JinjaTemplate.Parse(source, Limits)
                .Render(inputs, JinjaRun.Clock, TestContext.Current.CancellationToken);
            for (int i = 0; i < segments.Count; i++)
            {
                Assert.NotEmpty(segments[i].Text);
                Assert.True(i == 0 || segments[i].FromTemplate != segments[i - 1].FromTemplate);
            }

            return true;
        }
        catch (TemplateException)
        {
            return false;
        }
        catch (Exception error)
        {
            throw new InvalidOperationException($"seed {seed}: {error.GetType().Name}: {error.Message}\n{source}\n{inputs.ToJsonString()}", error);
        }
    }

    private static int Setting(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : otherwise;

    /// <summary>The repository's own cases, the demonstration model's template, and the reference templates where they are.</summary>
    private static (string[] Templates, JsonObject[] Inputs) Corpus()
    {
        List<string> templates = [];
        List<JsonObject> inputs = [];
        using JsonDocument data = JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Jinja", "data", "jinja2.json")));
        inputs.Add(JsonObject.Create(data.RootElement.GetProperty("inputs").Clone())!);
        templates.AddRange(data.RootElement.GetProperty("cases").EnumerateArray().Select(static c => c[0].GetString()!));

        string demo = Path.Combine(ChatTemplateTests.RepositoryRoot(), "models", "demo", "tokenizer_config.json");
        string demoTemplate = (string)JsonNode.Parse(File.ReadAllText(demo))!["chat_template"]!;
        templates.AddRange(Enumerable.Repeat(demoTemplate, 200));
        inputs.Add(JinjaRun.Object("""
            {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"},
             {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}, {"role": "tool", "content": "t"}],
             "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "number"}}}}}],
             "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"}
            """));

        string reference = Path.Combine(ReferenceTemplatesTests.ReferenceFolder() ?? "", "templates");
        if (Directory.Exists(reference))
        {
            foreach (string file in Directory.EnumerateFiles(reference, "*.jinja").Order(StringComparer.Ordinal))
            {
                templates.AddRange(Enumerable.Repeat(File.ReadAllText(file), 40));
            }
        }

        return ([.. templates], [.. inputs]);
    }

    private static string Mutate(string template, string[] templates, Random random)
    {
        StringBuilder text = new(template);
        for (int edits = random.Next(5); edits > 0; edits--)
        {
            int at = random.Next(text.Length + 1);
            int length = Math.Min(random.Next(1, 12), text.Length - at);
            switch (random.Next(7))
            {
                case 0:
                    text.Remove(at, length);
                    break;
                case 1:
                    text.Insert(at, Pieces[random.Next(Pieces.Length)]);
                    break;
                case 2:
                    text.Remove(at, length).Insert(at, Pieces[random.Next(Pieces.Length)]);
                    break;
                case 3:
                    text.Insert(at, text.ToString(at, length));
                    break;
                case 4 when text.Length > 0:
                    text[random.Next(text.Length)] = (char)random.Next(32, 127);
                    break;
                case 5:
                    string other = templates[random.Next(templates.Length)];
                    int start = random.Next(other.Length + 1);
                    text.Insert(at, other.AsSpan(start, Math.Min(random.Next(60), other.Length - start)));
                    break;
                default:
                    text.Length = at;
                    break;
            }
        }

        return text.ToString();
    }

    private static JsonNode? Mutate(JsonNode? node, Random random, int depth)
    {
        switch (random.Next(40))
        {
            case 0 when depth > 0:
                return Values[random.Next(Values.Length)]?.DeepClone();
            case 1 when depth > 0:
                return new JsonArray(node?.DeepClone());
        }

        switch (node)
        {
            case JsonObject members:
                JsonObject mutated = [];
                foreach ((string name, JsonNode? value) in members)
                {
                    if (random.Next(30) != 0)
                    {
                        mutated[name] = Mutate(value, random, depth + 1);
                    }
                }

                return mutated;
            case JsonArray elements:
                return new JsonArray([.. elements.Where(_ => random.Next(30) != 0).Select(e => Mutate(e, random, depth + 1))]);
            default:
                return node?.DeepClone();
        }
    }
}
