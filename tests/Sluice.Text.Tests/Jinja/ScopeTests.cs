namespace Sluice.Text.Tests.Jinja;

/// <summary>Where a variable can be seen, with the corners that Jinja2's compilation to Python gives it.</summary>
public sealed class ScopeTests
{
    [Theory]
    // A loop's assignments end with the iteration; if has no scope; namespaces outlive loops.
    [InlineData("{% set y = 0 %}{% for x in [1, 2] %}{% set y = y + x %}{{ y }}{% endfor %}{{ y }}", "120")]
    [InlineData("{% if true %}{% set y = 1 %}{% endif %}{{ y }}", "1")]
    [InlineData("{% set ns = namespace(y=0) %}{% for x in [1, 2] %}{% set ns.y = ns.y + x %}{% endfor %}{{ ns.y }}", "3")]
    // Macros see the variables where they are defined, as they are when called; their own end with the call.
    [InlineData("{% set x = 5 %}{% macro f() %}{{ x }}{% endmacro %}{% set x = 6 %}{{ f() }}", "6")]
    [InlineData("{% macro f() %}{% set q = 1 %}{% endmacro %}{{ f() }}{{ q is defined }}", "False")]
    [InlineData("{% macro f() %}{{ loop is defined }}{% endmacro %}{% for x in [1] %}{{ f() }}{% endfor %}", "False")]
    [InlineData("{% for x in [1, 2] %}{% macro f() %}{{ x }}{{ loop.index0 }}{% endmacro %}{{ f() }}{% endfor %}{{ f is defined }}", "1021False")]
    // Blocks that are functions of their own keep what they assign.
    [InlineData("{% set x %}{% set q = 1 %}{{ q }}{% endset %}{{ x }}{{ q is defined }}", "1False")]
    [InlineData("{% filter upper %}{% set q = 1 %}{% endfilter %}{{ q is defined }}", "False")]
    [InlineData("{% generation %}{% set q = 1 %}{{ q }}{% endgeneration %}{{ q is defined }}", "1False")]
    [InlineData("{% with a = 1 %}{% set q = a %}{{ q }}{% endwith %}{{ q is defined }}{{ a is defined }}", "1FalseFalse")]
    [InlineData("{% with n = 1, m = n %}{{ n }}{{ m }}{% endwith %}{{ n }}", "177")]
    // A scope that assigns a variable before it reads it hides the input of that name from its start on.
    [InlineData("{% for x in [1] %}{{ n }}{% endfor %}{% set n = 1 %}{{ n }}", "1")]
    [InlineData("{% for x in [1, 2] %}{{ n }}{% set n = x %}{{ n }}{% endfor %}{{ n }}", "71727")]
    [InlineData("{% for x in [1] %}{% for y in [1] %}[{{ n }}]{% endfor %}{% set n = x %}{% endfor %}", "[]")]
    [InlineData("{% if false %}{% set n = 1 %}{% endif %}{{ n }}", "7")]
    [InlineData("{{ n }}{% set n = 1 %}{{ n }}", "71")]
    [InlineData("{% set n = n + 1 %}{{ n }}", "8")]
    // else follows a loop without a finished iteration.
    [InlineData("{% for x in [] %}a{% else %}b{% endfor %}{% for x in [1] %}a{% else %}b{% endfor %}", "ba")]
    [InlineData("{% for x in [1] %}{% break %}{% else %}b{% endfor %}", "b")]
    public void VariablesAreSeenAsInJinja2(string template, string expected) =>
        Assert.Equal(expected, JinjaRun.Text(template, """{"n": 7}"""));

    [Theory]
    [InlineData("{% set g = [1, 2, 3]|select('odd') %}{{ g|list }}{{ g|list }}", "[1, 3][]")]
    [InlineData("{% set g = []|select %}{{ 'true' if g else 'false' }}", "true")]
    [InlineData("{% set ns = namespace(on=true) %}{% for x in [1, 2] if ns.on %}{{ x }}{% set ns.on = false %}{% endfor %}", "1")]
    [InlineData("{% set g = [1, 2, 3]|map('string') %}{% for x in g %}{{ x }}{{ loop.last }}{% break %}{% endfor %}{{ g|list }}", "1False['3']")]
    [InlineData("{% for x in [1, 2, 3]|map('string') %}{{ loop.length }}{{ loop.revindex }}{{ x }} {% endfor %}", "331 322 313 ")]
    public void GeneratorsAreLazyAndRunOnce(string template, string expected) => Assert.Equal(expected, JinjaRun.Text(template));
}
