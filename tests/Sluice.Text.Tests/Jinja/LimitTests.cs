using System.Diagnostics;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Text.Jinja;

namespace Sluice.Text.Tests.Jinja;

/// <summary>What a hostile template or input can cost is bounded, and the error names the limit.</summary>
public sealed class LimitTests
{
    private static readonly JinjaLimits Small = new()
    {
        Fuel = 1_000_000,
        AllocatedBytes = 16 << 20,
        OutputLength = 100_000,
        NestingDepth = 100,
        EvaluationDepth = 400,
        MacroDepth = 50,
    };

    [Theory]
    [InlineData("Fuel", "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}")]
    [InlineData("Fuel", "{% set a = 'x' * 100000 %}{% set b = a ~ 'x' %}{% set a = 'x' ~ a %}{% for i in range(100000) %}{% set t = a == b %}{% endfor %}")]
    [InlineData("Fuel", "{% set ns = namespace(s=(), t=()) %}{% for i in range(60) %}{% set ns.s = (ns.s, ns.s) %}{% set ns.t = (ns.t, ns.t) %}{% endfor %}{{ ns.s == ns.t }}")]
    [InlineData("Fuel", "{% set ns = namespace(s=()) %}{% for i in range(60) %}{% set ns.s = (ns.s, ns.s) %}{% endfor %}{{ {ns.s: 1} }}")]
    [InlineData("Fuel", "{% set ns = namespace(s=()) %}{% for i in range(60) %}{% set ns.s = (ns.s, ns.s) %}{% endfor %}{{ d[ns.s] }}")]
    [InlineData("Fuel", "{% set a = 2 ** 13000 %}{% for i in range(100000) %}{% set b = a|string %}{% endfor %}")]
    [InlineData("Fuel", "{% for i in range(100000) %}{% set x = 1.1|round(2) %}{% endfor %}")]
    [InlineData("MacroDepth", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")]
    [InlineData("MacroDepth", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}")]
    [InlineData("MacroDepth", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}")]
    [InlineData("EvaluationDepth", "{% set ns = namespace(s=[]) %}{% for i in range(1000) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}")]
    [InlineData("EvaluationDepth", "{% set ns = namespace(s=[]) %}{% for i in range(1000) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s|tojson }}")]
    [InlineData("EvaluationDepth", "{% set ns = namespace(s=[], t=[]) %}{% for i in range(1000) %}{% set ns.s = [ns.s] %}{% set ns.t = [ns.t] %}{% endfor %}{{ ns.s == ns.t }}")]
    [InlineData("EvaluationDepth", "{% set ns = namespace(s=()) %}{% for i in range(1000) %}{% set ns.s = (ns.s,) %}{% endfor %}{{ {ns.s: 1} }}")]
    [InlineData("EvaluationDepth", "{% set ns = namespace(s=[1]) %}{% for i in range(1000) %}{% set ns.s = ns.s|map('abs') %}{% endfor %}{{ ns.s|list }}")]
    [InlineData("EvaluationDepth", "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}")]
    [InlineData("AllocatedBytes", "{{ 'x' * 10 ** 10 }}")]
    [InlineData("AllocatedBytes", "{{ [0] * 10 ** 9 }}")]
    [InlineData("AllocatedBytes", "{{ 'ab' * 100000 ** 100 }}")]
    [InlineData("AllocatedBytes", "{{ '%1000000000d' % 1 }}")]
    [InlineData("AllocatedBytes", "{{ '%.1000000000d' % 1 }}")]
    [InlineData("AllocatedBytes", "{{ '{:1000000000}'.format(1) }}")]
    [InlineData("AllocatedBytes", "{{ 'a\tb'.expandtabs(10 ** 9) }}")]
    [InlineData("AllocatedBytes", "{{ '1'.zfill(10 ** 9) }}")]
    [InlineData("AllocatedBytes", "{{ [1]|batch(10 ** 9, 0)|list }}")]
    [InlineData("AllocatedBytes", "{{ 'x'|indent(10 ** 9, true) }}")]
    [InlineData("AllocatedBytes", "{% set ns = namespace(s='x') %}{% for i in range(1000) %}{% set ns.s = ns.s + ns.s %}{% endfor %}")]
    [InlineData("AllocatedBytes", "{% set ns = namespace(s=[1]) %}{% for i in range(1000) %}{% set ns.s = ns.s + ns.s %}{% endfor %}")]
    [InlineData("OutputLength", "{% for i in range(100000) %}xxxxxxxxxx{% endfor %}")]
    [InlineData("OutputLength", "{{ 'x' * 200000 }}")]
    [InlineData("RangeLength", "{{ range(100001) }}")]
    [InlineData("RangeLength", "{{ range(10 ** 9) }}")]
    [InlineData("RangeLength", "{{ range(0, -(10 ** 30), -1) }}")]
    [InlineData("IntegerBits", "{{ 10 ** 10000 }}")]
    [InlineData("IntegerBits", "{% set ns = namespace(n=2) %}{% for i in range(20) %}{% set ns.n = ns.n * ns.n %}{% endfor %}")]
    public void ExceedingALimitIsAnErrorThatNamesIt(string limit, string template)
    {
        Stopwatch watch = Stopwatch.StartNew();
        TemplateException error = JinjaRun.Fails(template, """{"d": {}}""", Small);
        Assert.StartsWith($"limit {limit}:", error.Message, StringComparison.Ordinal);
        Assert.True(error.Line > 0 && error.Column > 0, error.Message);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(20), $"took {watch.Elapsed}");
    }

    [Theory]
    [InlineData("{{ ", "(", "1", ")")]
    [InlineData("{{ ", "[", "1", "]")]
    [InlineData("{{ ", "{1:", "1", "}")]
    [InlineData("{{ ", "not ", "1", "")]
    [InlineData("{{ ", "-", "1", "")]
    [InlineData("{{ ", "a[", "1", "]")]
    [InlineData("{{ ", "a(", "1", ")")]
    [InlineData("{{ ", "1 if 1 else ", "1", "")]
    [InlineData("{{ 1", "+1", "", "")]
    [InlineData("{{ 1", "*1", "", "")]
    [InlineData("{{ 1", "**1", "", "")]
    [InlineData("{{ 1", " and 1", "", "")]
    [InlineData("{{ 1", " or 1", "", "")]
    [InlineData("{{ a", ".a", "", "")]
    [InlineData("{{ a", "[0]", "", "")]
    [InlineData("{{ a", "()", "", "")]
    [InlineData("{{ a", "|abs", "", "")]
    [InlineData("{{ a", " if 1 else a", "", "")]
    [InlineData("{% set ", "(", "a", ")")]
    [InlineData("", "{% if 1 %}", "", "")]
    [InlineData("", "{% for a in b %}", "", "")]
    [InlineData("", "{% macro a() %}", "", "")]
    [InlineData("", "{% set a %}", "", "")]
    public void NestingInTheSourceIsBounded(string start, string open, string middle, string close)
    {
        string source = start + string.Concat(Enumerable.Repeat(open, 20_000)) + middle + string.Concat(Enumerable.Repeat(close, 20_000));
        string end = start.StartsWith("{{", StringComparison.Ordinal) ? " }}" : start.Length > 0 ? " = 1 %}" : "";
        TemplateException error = Assert.Throws<TemplateException>(() => JinjaTemplate.Parse(source + end));
        Assert.Contains("limit NestingDepth", error.Message, StringComparison.Ordinal);
    }

    /// <summary>At the nesting limit everything still works, on the stack of an ordinary pool thread.</summary>
    [Fact]
    public void TemplatesAtTheNestingLimitRender()
    {
        string ifs = string.Concat(Enumerable.Repeat("{% if 1 %}", 180)) + "x" + string.Concat(Enumerable.Repeat("{% endif %}", 180));
        string sum = "{{ 1" + string.Concat(Enumerable.Repeat("+1", 190)) + " }}";
        string parentheses = "{{ " + new string('(', 190) + "7" + new string(')', 190) + " }}";
        Assert.Equal("x191" + "7", JinjaRun.Text(ifs + sum + parentheses));
    }

    /// <summary>.NET cannot catch a stack overflow: on a thread with little stack the depth ends in an error all the same.</summary>
    [Theory]
    [InlineData("{% macro m(n) %}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(190) }}")]
    [InlineData("{% set ns = namespace(s=[]) %}{% for i in range(900) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s|tojson|length }}")]
    [InlineData("{% set ns = namespace(s=[1]) %}{% for i in range(450) %}{% set ns.s = ns.s|map('abs') %}{% endfor %}{{ ns.s|list }}")]
    public void LittleStackIsAnErrorAtWorst(string template)
    {
        foreach (int kibibytes in (int[])[128, 192, 256, 512, 1024])
        {
            Exception? failure = null;
            Thread thread = new(
                () =>
                {
                    try
                    {
                        JinjaTemplate.Parse(template).RenderText([]);
                    }
                    catch (TemplateException)
                    {
                    }
                    catch (Exception other)
                    {
                        failure = other;
                    }
                },
                kibibytes * 1024);
            thread.Start();
            thread.Join();
            Assert.Null(failure);
        }
    }

    [Fact]
    public void ALongTemplateIsRefused() => Assert.Contains(
        "limit SourceLength",
        Assert.Throws<TemplateException>(() => JinjaTemplate.Parse(new string('x', 11), new JinjaLimits { SourceLength = 10 })).Message,
        StringComparison.Ordinal);

    [Fact]
    public void InputsCountTowardsTheLimits()
    {
        JsonNode deep = new JsonArray();
        for (int i = 0; i < 2000; i++)
        {
            deep = new JsonArray(deep);
        }

        TemplateException error = Assert.Throws<TemplateException>(() => JinjaRun.Text(JinjaTemplate.Parse(""), new JsonObject { ["x"] = deep }));
        Assert.StartsWith("limit EvaluationDepth:", error.Message, StringComparison.Ordinal);

        JsonObject big = new() { ["x"] = new string('x', 1000) };
        JinjaTemplate template = JinjaTemplate.Parse("{{ x|length }}", new JinjaLimits { AllocatedBytes = 1000 });
        Assert.StartsWith("limit AllocatedBytes:", Assert.Throws<TemplateException>(() => JinjaRun.Text(template, big)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task CancellationStopsARendering()
    {
        using CancellationTokenSource source = new();
        JinjaTemplate endless = JinjaTemplate.Parse(
            "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", new JinjaLimits { Fuel = long.MaxValue });
        Task rendering = Task.Run(() => endless.Render([], ct: source.Token), TestContext.Current.CancellationToken);
        await source.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => rendering);
    }

    /// <summary>Searching is linear whatever is searched for: the classic bad case for naive search, both ways round.</summary>
    [Fact]
    public void SearchingIsLinear()
    {
        Stopwatch watch = Stopwatch.StartNew();
        const string Template = """
            {%- set hay = 'a' * 1000000 -%}
            {%- set needle = 'a' * 300000 ~ 'b' -%}
            {{ needle in hay }}{{ hay.rfind('b' ~ 'a' * 300000) }}{{ hay.count('a' * 1000) }}{{ hay.split('a' * 500)|length }}
            """;
        Assert.Equal("False-110002001", JinjaRun.Text(Template));
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(20), $"took {watch.Elapsed}");
    }
}
