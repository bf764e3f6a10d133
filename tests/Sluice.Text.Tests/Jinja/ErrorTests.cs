using Sluice.Core;

namespace Sluice.Text.Tests.Jinja;

/// <summary>Errors say what is wrong in one line, and where.</summary>
public sealed class ErrorTests
{
    [Theory]
    // Syntax.
    [InlineData("{{ 1", 1, 1, "missing end of print statement, expected '}}'")]
    [InlineData("a\n {% if x", 2, 2, "missing end of statement block, expected '%}'")]
    [InlineData("ab{# c", 1, 3, "missing end of comment tag")]
    [InlineData("{% raw %}x", 1, 1, "missing end of raw directive")]
    [InlineData("{{ 'abc }}", 1, 4, "missing end of string")]
    [InlineData("{{ '\\x4' }}", 1, 4, "escape")]
    [InlineData("{{ a b }}", 1, 6, "expected end of print statement, got 'b'")]
    [InlineData("{{ (1] }}", 1, 6, "unexpected ']', expected ')'")]
    [InlineData("{{ 1) }}", 1, 5, "unexpected ')'")]
    [InlineData("{{ a ? b }}", 1, 6, "unexpected character '?'")]
    [InlineData("{{ }}", 1, 4, "expected an expression, got end of print statement")]
    [InlineData("x\n{% if true %}\ny\n", 3, 2, "unexpected end of template; expected 'elif' or 'else' or 'endif' to close 'if'")]
    [InlineData("{% for x in y %}{% endif %}", 1, 20, "unknown tag 'endif'; the innermost open block is 'for'")]
    [InlineData("{% frobnicate %}", 1, 4, "unknown tag 'frobnicate'")]
    [InlineData("{% include 'x' %}", 1, 4, "a chat template stands alone")]
    [InlineData("{% break %}", 1, 4, "'break' outside a loop")]
    [InlineData("{% set true = 1 %}", 1, 8, "cannot assign to 'true'")]
    [InlineData("{{ x|nope }}", 1, 6, "no filter named 'nope'")]
    [InlineData("{{ x is nope }}", 1, 9, "no test named 'nope'")]
    [InlineData("{{ f(a=1, 2) }}", 1, 5, "arguments must come as positional, named, *list, **dict")]
    // Evaluation.
    [InlineData("{{ raise_exception('No user query') }}", 1, 19, "No user query")]
    [InlineData("ok\n\n  {{ x.y.z }}", 3, 10, "'dict object' has no attribute 'y'")]
    [InlineData("{{ nothing.y }}", 1, 12, "'nothing' is undefined")]
    [InlineData("{{ 'a' + 1 }}", 1, 8, "can only concatenate str (not \"int\") to str")]
    [InlineData("{{ 1 - 'a' }}", 1, 6, "unsupported operand types for -: 'int' and 'str'")]
    [InlineData("{{ 1 // 0 }}", 1, 6, "division by zero")]
    [InlineData("{{ [] < 1 }}", 1, 4, "'<' not supported between instances of 'list' and 'int'")]
    [InlineData("{{ 1|length }}", 1, 6, "object of type 'int' has no len()")]
    [InlineData("{{ x() }}", 1, 5, "'dict' object is not callable")]
    [InlineData("{{ [1].append(2) }}", 1, 14, "access to attribute 'append' of 'list' object is unsafe.")]
    [InlineData("{% for a in 5 %}{% endfor %}", 1, 13, "'int' object is not iterable")]
    [InlineData("{% for a, b in [[1]] %}{% endfor %}", 1, 4, "not enough values to unpack (expected 2, got 1)")]
    [InlineData("{{ 'x'.split('') }}", 1, 13, "empty separator")]
    [InlineData("{{ {}|tojson(bad=1) }}", 1, 7, "tojson() got an unexpected keyword argument 'bad'")]
    [InlineData("{{ x|replace('a') }}", 1, 6, "replace() misses a required argument: 'new'")]
    [InlineData("{% macro m(a) %}{% endmacro %}\n{{ m(1, 2) }}", 2, 5, "macro 'm' takes not more than 1 argument(s)")]
    [InlineData("{% macro m() %}\n{{ 1 / 0 }}{% endmacro %}\n{{ m() }}", 2, 6, "division by zero")]
    [InlineData("{% set x.a = 1 %}", 1, 8, "cannot assign attribute 'a' on non-namespace object 'x'")]
    public void ErrorsSayWhatAndWhere(string template, int line, int column, string message)
    {
        TemplateException error = JinjaRun.Fails(template, """{"x": {}}""");
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.Equal((line, column), (error.Line, error.Column));
        Assert.EndsWith($"(line {line}, column {column})", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void AnUnknownFilterIsAnErrorOnlyWhereItRunsWhenAnIfGuardsIt()
    {
        Assert.Equal("ok", JinjaRun.Text("{% if false %}{{ 1|nope }}{% endif %}ok"));
        Assert.Equal("ok", JinjaRun.Text("{{ 1|nope if false else 'ok' }}"));
        Assert.Equal("ok", JinjaRun.Text("{% if 'nope' is filter %}{{ 1|nope }}{% else %}ok{% endif %}"));
        JinjaRun.Fails("{% if true %}{{ 1|nope }}{% endif %}");
        JinjaRun.Fails("{% for x in [] %}{{ 1|nope }}{% endfor %}");
    }

    [Fact]
    public void ALongMessageIsCutShort() =>
        Assert.True(JinjaRun.Fails("{{ raise_exception('x' * 100000) }}").Message.Length < 1100);
}
