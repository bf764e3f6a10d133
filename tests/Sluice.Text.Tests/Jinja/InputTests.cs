using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Text.Jinja;

namespace Sluice.Text.Tests.Jinja;

/// <summary>JSON in, Python values inside, and JSON out again.</summary>
public sealed class InputTests
{
    [Theory]
    [InlineData("1", "1", "int")]
    [InlineData("-0", "0", "int")]
    [InlineData("12345678901234567890123", "12345678901234567890123", "int")]
    [InlineData("1.0", "1.0", "float")]
    [InlineData("1e5", "100000.0", "float")]
    [InlineData("1E400", "Infinity", "float")]
    [InlineData("0.1", "0.1", "float")]
    [InlineData("1e16", "1e+16", "float")]
    [InlineData("1e-5", "1e-05", "float")]
    [InlineData("true", "true", "bool")]
    [InlineData("null", "null", "none")]
    [InlineData("\"a\\u00e9\\n\\\"\\ud83d\\ude42/\"", "\"aé\\n\\\"🙂/\"", "str")]
    [InlineData("[1, [2.5], {}]", "[1, [2.5], {}]", "list")]
    [InlineData("{\"b\": 1, \"a\": [null]}", "{\"b\": 1, \"a\": [null]}", "dict")]
    public void ValuesSurviveTheRoundTrip(string json, string expected, string type)
    {
        const string Template = """
            {{ x|tojson }} {{ 'none' if x is none else 'bool' if x is boolean else 'int' if x is integer else 'float' if x is float
            else 'str' if x is string else 'dict' if x is mapping else 'list' }}
            """;
        Assert.Equal($"{expected} {type}", JinjaRun.Text(Template, $$"""{"x": {{json}}}"""));
    }

    [Fact]
    public void ValuesMadeInCodeAreReadAsTheirJson()
    {
        JsonObject inputs = new()
        {
            ["i"] = 1,
            ["l"] = 1L << 40,
            ["d"] = 1.5,
            ["m"] = 2.50m,
            ["b"] = true,
            ["c"] = JsonValue.Create('x'),
            ["t"] = JsonValue.Create(new DateTimeOffset(2025, 1, 2, 0, 0, 0, TimeSpan.Zero)),
        };
        Assert.Equal(
            "1 1099511627776 1.5 2.5 True x 2025-01-02T00:00:00+00:00",
            JinjaRun.Text(JinjaTemplate.Parse("{{ i }} {{ l }} {{ d }} {{ m }} {{ b }} {{ c }} {{ t }}"), inputs));
    }

    [Fact]
    public void InputsThatAreNoJsonAreTypedErrors()
    {
        JinjaTemplate template = JinjaTemplate.Parse("x");
        Assert.Throws<TemplateException>(() => JinjaRun.Text(template, JinjaRun.Object("""{"a": 1, "a": 2}""")));
        Assert.Throws<TemplateException>(() => JinjaRun.Text(template, JinjaRun.Object("""{"a": {"b": 1, "b": 2}}""")));
        Assert.Throws<TemplateException>(() => JinjaRun.Text(template, JinjaRun.Object("""{"a": "\ud800"}""")));
        Assert.Throws<TemplateException>(() => JinjaRun.Text(template, new JsonObject { ["a"] = double.NaN }));
        Assert.Throws<TemplateException>(() => JinjaRun.Text(template, JinjaRun.Object($$"""{"a": {{new string('9', 5000)}}}""")));
    }

    [Fact]
    public void InputsHideTheGlobalFunctions() => Assert.Equal("5", JinjaRun.Text("{{ range }}", """{"range": 5}"""));

    [Fact]
    public async Task OneTemplateRendersOnManyThreads()
    {
        JinjaTemplate template = JinjaTemplate.Parse(
            "{% set ns = namespace(t=0) %}{% for x in xs %}{% set ns.t = ns.t + x %}{% endfor %}{{ ns.t }}{{ xs|map('string')|join(',') }}");
        await Task.WhenAll(Enumerable.Range(0, 8).Select(thread => Task.Run(
            () =>
            {
                for (int i = 0; i < 200; i++)
                {
                    JsonObject inputs = new() { ["xs"] = new JsonArray(thread, i) };
                    Assert.Equal($"{thread + i}{thread},{i}", template.RenderText(inputs));
                }
            },
            TestContext.Current.CancellationToken)));
    }
}
