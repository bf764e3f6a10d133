using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Text.Jinja;

namespace Sluice.Text.Tests.Jinja;

/// <summary>Every template in <c>data/jinja2.json</c> gives what Jinja2 3.1.6 gives, or an error where Jinja2 raises.</summary>
public sealed class Jinja2CasesTests
{
    [Fact]
    public void EveryCaseRendersAsInJinja2()
    {
        string json = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Jinja", "data", "jinja2.json"));
        using JsonDocument data = JsonDocument.Parse(json);
        JsonObject inputs = JsonObject.Create(data.RootElement.GetProperty("inputs"))!;
        List<string> wrong = [];
        int count = 0;
        foreach (JsonElement entry in data.RootElement.GetProperty("cases").EnumerateArray())
        {
            count++;
            string template = entry[0].GetString()!;
            string? expected = entry[1].GetString();
            string? actual;
            string error = "";
            try
            {
                actual = JinjaRun.Text(JinjaTemplate.Parse(template), inputs);
            }
            catch (TemplateException refused)
            {
                actual = null;
                error = refused.Message;
            }

            if (!string.Equals(actual, expected, StringComparison.Ordinal))
            {
                wrong.Add($"{template}\n  expected {expected ?? "an error"}\n  got      {actual ?? error}");
            }
        }

        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.True(count > 1400, $"only {count} cases");
    }
}
