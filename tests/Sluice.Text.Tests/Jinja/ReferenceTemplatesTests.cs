using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Text.Jinja;

namespace Sluice.Text.Tests.Jinja;

/// <summary>
/// The chat templates of many models, and what transformers makes of them. They are not in the repository: the folder is named by
/// <c>SLUICE_REFERENCE</c>, or is <c>shared/reference</c> beside one of the folders this test runs in.
/// </summary>
public sealed class ReferenceTemplatesTests
{
    [Fact]
    public void EveryCaseRendersAsInTransformers()
    {
        string folder = Path.Combine(ReferenceFolder() ?? "", "templates");
        string expectedFile = Path.Combine(folder, "expected.json");
        if (!File.Exists(expectedFile))
        {
            Assert.Skip("no reference templates: set SLUICE_REFERENCE to the folder that holds templates/expected.json");
        }

        using JsonDocument data = JsonDocument.Parse(File.ReadAllText(expectedFile));
        JsonElement cases = data.RootElement.GetProperty("cases");
        JsonElement globals = data.RootElement.GetProperty("globals");
        TimeProvider clock = new ReferenceClock();
        List<string> wrong = [];
        int rendered = 0;
        int refused = 0;
        foreach (JsonProperty template in data.RootElement.GetProperty("expected").EnumerateObject())
        {
            string source = File.ReadAllText(Path.Combine(folder, template.Name));
            foreach (JsonProperty outcome in template.Value.EnumerateObject())
            {
                JsonObject inputs = Inputs(globals, cases.GetProperty(outcome.Name));
                bool expectsText = outcome.Value.TryGetProperty("ok", out JsonElement expected);
                string? problem = Check(source, inputs, clock, expectsText ? expected.GetString() : null);
                if (problem is not null)
                {
                    wrong.Add($"{template.Name}, {outcome.Name}: {problem}");
                }
                else if (expectsText)
                {
                    rendered++;
                }
                else
                {
                    refused++;
                }
            }
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{rendered} cases rendered exactly, {refused} refused as they should be, {wrong.Count} wrong");
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.True(rendered > 0 && refused > 0);
    }

    internal static string? ReferenceFolder()
    {
        if (Environment.GetEnvironmentVariable("SLUICE_REFERENCE") is { Length: > 0 } given)
        {
            return given;
        }

        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string candidate = Path.Combine(folder.FullName, "shared", "reference");
            if (Directory.Exists(candidate))
            {
                return candidate;
            }
        }

        return null;
    }

    private static JsonObject Inputs(JsonElement globals, JsonElement given)
    {
        JsonObject inputs = new() { ["add_generation_prompt"] = true };
        foreach (JsonElement source in (ReadOnlySpan<JsonElement>)[globals, given])
        {
            foreach (JsonProperty member in source.EnumerateObject())
            {
                inputs[member.Name] = JsonNode.Parse(member.Value.GetRawText());
            }
        }

        return inputs;
    }

    private static string? Check(string source, JsonObject inputs, TimeProvider clock, string? expected)
    {
        try
        {
            string actual = JinjaTemplate.Parse(source).RenderText(inputs, clock, TestContext.Current.CancellationToken);
            return expected is null ? "rendered, expected an error"
                : string.Equals(actual, expected, StringComparison.Ordinal) ? null
                : $"expected\n{expected}\ngot\n{actual}";
        }
        catch (TemplateException error)
        {
            return expected is null ? null : error.Message;
        }
    }

    // The day the reference was made, which strftime_now wrote into it.
    private sealed class ReferenceClock : TimeProvider
    {
        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

        public override DateTimeOffset GetUtcNow() => new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    }
}
