namespace Sluice.Text.Tests.Jinja;

/// <summary>trim_blocks and lstrip_blocks are on; - and + override them.</summary>
public sealed class WhitespaceTests
{
    [Theory]
    // A newline at the end of the template is dropped, once; line ends are normalised.
    [InlineData("a\n", "a")]
    [InlineData("a\n\n", "a\n")]
    [InlineData("a\r\nb\rc\r\n", "a\nb\nc")]
    // The newline after a block or comment goes; after a print statement it stays.
    [InlineData("{% if 1 %}\na\n{% endif %}\nb", "a\nb")]
    [InlineData("{# c #}\na", "a")]
    [InlineData("{{ 1 }}\na", "1\na")]
    [InlineData("{% if 1 %} \na{% endif %}", " \na")]
    // Spaces from the start of the line to a block or comment go; before a print statement, or after other text, they stay.
    [InlineData("a\n  {% if 1 %}b{% endif %}", "a\nb")]
    [InlineData("  {% if 1 %}b{% endif %}", "b")]
    [InlineData("a\n  {# c #}b", "a\nb")]
    [InlineData("a\n  {{ 1 }}", "a\n  1")]
    [InlineData("a {% if 1 %}b{% endif %}", "a b")]
    [InlineData("{{ 1 }} {% if 1 %}b{% endif %}", "1 b")]
    [InlineData("{% if 1 %}\n   {% endif %}x", "x")]
    [InlineData("{% set a = 1 %}  {% set b = 2 %}x", "  x")]
    // "+" keeps what would go.
    [InlineData("a\n  {%+ if 1 %}b{% endif %}", "a\n  b")]
    [InlineData("{% if 1 +%}\nb{% endif %}", "\nb")]
    [InlineData("{# c +#}\nb", "\nb")]
    // "-" takes all whitespace on its side.
    [InlineData("a \n\t {%- if 1 -%} \n b \n {%- endif -%} \n c", "abc")]
    [InlineData("a \n {{- 1 -}} \n b", "a1b")]
    [InlineData("a \n {#- c -#} \n b", "ab")]
    [InlineData("a\u00a0\u3000{%- if 1 %}b{% endif %}", "ab")]
    // Raw blocks hold anything, and obey the same rules outside.
    [InlineData("{% raw %}{{ a }}{% b %}{# c #}{% endraw %}", "{{ a }}{% b %}{# c #}")]
    [InlineData("a\n  {% raw %}\n x\n  {% endraw %}\nb", "a\n\n x\nb")]
    [InlineData("a {%- raw -%} x {%- endraw -%} b", "axb")]
    // Delimiters in strings and brackets are not the end.
    [InlineData("{{ '}}' }}{{ '%}' }}{{ {'a': {'b': 1}}['a'] }}", "}}%}{'b': 1}")]
    [InlineData("{{ '{{' }}{ {% %}", null)]
    [InlineData("{ a } {", "{ a } {")]
    public void BlocksTakeTheirWhitespace(string template, string? expected)
    {
        if (expected is null)
        {
            JinjaRun.Fails(template);
        }
        else
        {
            Assert.Equal(expected, JinjaRun.Text(template));
        }
    }
}
