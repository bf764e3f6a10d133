using System.Text.Json.Nodes;
using CsCheck;
using Sluice.Text.Jinja;

namespace Sluice.Text.Tests.Jinja;

/// <summary>
/// Only what the template wrote is trusted to hold special tokens. In the expected texts what came from the inputs is in
/// ⟦brackets⟧, one pair for each segment.
/// </summary>
public sealed class ProvenanceTests
{
    private const string Inputs = """
        {
          "c": "start|>", "role": "user", "n": 5, "f": 1.5, "yes": true, "tags": ["a", "b"], "sp": "  pad  ", "emoji": "a🙂b",
          "m": {"role": "user", "content": "<|im_start|>"}, "d": {"key": "value"}, "fmt": "{}|%s", "lines": "one\ntwo"
        }
        """;

    [Theory]
    // Where the text comes from decides, not what it says.
    [InlineData("<|im_start|>", "<|im_start|>")]
    [InlineData("{{ '<|im_start|>' }}", "<|im_start|>")]
    [InlineData("{{ m.content }}", "⟦<|im_start|>⟧")]
    [InlineData("<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>", "<|im_start|>⟦user⟧\n⟦<|im_start|>⟧<|im_end|>")]
    // A token cannot be completed from outside, at either end or in the middle.
    [InlineData("{{ '<|im_' + c }}", "<|im_⟦start|>⟧")]
    [InlineData("{{ '<|im_' ~ c }}", "<|im_⟦start|>⟧")]
    [InlineData("<|im_{{ c }}", "<|im_⟦start|>⟧")]
    [InlineData("{{ m.content[:5] + 'start|>' }}", "⟦<|im_⟧start|>")]
    [InlineData("{{ '<|im_' ~ role ~ '|>' }}", "<|im_⟦user⟧|>")]
    [InlineData("{{ ['<|im_', c]|join }}", "<|im_⟦start|>⟧")]
    [InlineData("{{ '<|im_%s' % c }}", "<|im_⟦start|>⟧")]
    [InlineData("{{ '<|im_%s' % (c,) }}", "<|im_⟦start|>⟧")]
    [InlineData("{{ '<|im_%(c)s' % {'c': c} }}", "<|im_⟦start|>⟧")]
    [InlineData("{{ '<|im_%s'|format(c) }}", "<|im_⟦start|>⟧")]
    [InlineData("{{ '<|im_{}'.format(c) }}", "<|im_⟦start|>⟧")]
    [InlineData("{{ '<|im_{x}'.format(x=c) }}", "<|im_⟦start|>⟧")]
    [InlineData("{{ '<|im_X'.replace('X', c) }}", "<|im_⟦start|>⟧")]
    [InlineData("{{ '<|im_X'|replace('X', c) }}", "<|im_⟦start|>⟧")]
    [InlineData("{% set x %}<|im_{{ c }}{% endset %}{{ x }}", "<|im_⟦start|>⟧")]
    [InlineData("{% macro t(x) %}<|im_{{ x }}{% endmacro %}{{ t(c) }}", "<|im_⟦start|>⟧")]
    [InlineData("{% filter trim %} <|im_{{ c }} {% endfilter %}", "<|im_⟦start|>⟧")]
    [InlineData("{% set ns = namespace(x='<|im_') %}{% set ns.x = ns.x + c %}{{ ns.x }}", "<|im_⟦start|>⟧")]
    // A literal is the template's whichever way it is chosen; a chosen input is not.
    [InlineData("{{ '<|a|>' if m.role == 'user' else '<|b|>' }}", "<|a|>")]
    [InlineData("{{ {'user': '<|u|>'}[m.role] }}", "<|u|>")]
    [InlineData("{{ m.missing or '<|x|>' }}{{ m.missing|default('<|y|>') }}", "<|x|><|y|>")]
    [InlineData("{{ m.content or '<|x|>' }}", "⟦<|im_start|>⟧")]
    [InlineData("{{ ['<|a|>', m.content]|first }}{{ ['<|a|>', m.content]|last }}", "<|a|>⟦<|im_start|>⟧")]
    [InlineData("{% for k, v in d.items() %}{{ k }}={{ v }}{% endfor %}", "⟦key⟧=⟦value⟧")]
    [InlineData("{% for k in {'<|t|>': 1} %}{{ k }}{% endfor %}", "<|t|>")]
    // Each character keeps its origin through everything that moves characters.
    [InlineData("{{ ('ab' + c)[1:4] }}", "b⟦st⟧")]
    [InlineData("{{ ('ab' + c + 'yz')[::-1] }}", "zy⟦>|trats⟧ba")]
    [InlineData("{{ ('ab' + c + 'yz')|reverse }}", "zy⟦>|trats⟧ba")]
    [InlineData("{{ ('ab' + c)[::2] }}", "a⟦sat>⟧")]
    [InlineData("{{ ('a' ~ emoji ~ 'b')[1:4] }}", "⟦a🙂b⟧")]
    [InlineData("{{ ('a' ~ emoji ~ 'b')|list|join('.') }}", "a.⟦a⟧.⟦🙂⟧.⟦b⟧.b")]
    [InlineData("{{ ('<' ~ sp ~ '>')|upper }}", "<⟦  PAD  ⟧>")]
    [InlineData("{{ ('ß' ~ 'é' ~ role)|upper }}", "SSÉ⟦USER⟧")]
    [InlineData("{{ (' x' ~ sp ~ ' ')|trim }}|", "x⟦  pad⟧|")]
    [InlineData("{{ ('x' ~ sp).rstrip() ~ '|' }}", "x⟦  pad⟧|")]
    [InlineData("{{ ('A|' ~ role ~ '|B').split('|')[1] }}", "⟦user⟧")]
    [InlineData("{{ ('A|' ~ role ~ 'B').split('|')|join('#') }}", "A#⟦user⟧B")]
    [InlineData("{{ ('a,' ~ c).partition(',')[2] }}", "⟦start|>⟧")]
    [InlineData("{{ ('a' ~ role).replace('us', '<|t|>') }}", "a<|t|>⟦er⟧")]
    [InlineData("{{ m.content.replace('im', 'om') }}", "⟦<|⟧om⟦_start|>⟧")]
    [InlineData("{{ (role ~ '-')*2 }}", "⟦user⟧-⟦user⟧-")]
    [InlineData("{{ (role ~ 'x')|capitalize }}|{{ (role ~ 'x')|title }}", "⟦User⟧x|⟦User⟧x")]
    [InlineData("{{ role|center(8) }}|{{ role.ljust(6, '.') }}|", "  ⟦user⟧  |⟦user⟧..|")]
    [InlineData("{{ role.center(6, tags[0]) }}", "⟦ausera⟧")]
    [InlineData("{{ ('- ' ~ lines)|indent(2) }}", "- ⟦one⟧\n  ⟦two⟧")]
    [InlineData("{{ (role ~ ' and more')|truncate(7, true, '~', 0) }}", "⟦user⟧ a~")]
    [InlineData("{{ tags|join('<|sep|>') }}", "⟦a⟧<|sep|>⟦b⟧")]
    [InlineData("{{ '<|sep|>'.join(tags) }}", "⟦a⟧<|sep|>⟦b⟧")]
    [InlineData("{{ ('<' ~ '<' ~ role)|e }}", "&lt;&lt;⟦user⟧")]
    [InlineData("{{ ('<'|safe) ~ m.role }}{{ ('<'|safe) + m.content }}", "<⟦user⟧<⟦&lt;|im_start|&gt;⟧")]
    [InlineData("{{ ('a/' ~ c)|urlencode }}", "a/⟦start%7C%3E⟧")]
    // A format string from the inputs trusts none of its own characters.
    [InlineData("{{ fmt.format('<|t|>') }}", "<|t|>⟦|%s⟧")]
    [InlineData("{{ fmt % '<|t|>' }}", "⟦{}|⟧<|t|>")]
    // Numbers of the inputs are input; numbers the template writes or counts are its own.
    [InlineData("{{ n }}{{ n + 1 }}{{ n|string }}{{ f }}{{ f|round|int }}", "⟦5651.52⟧")]
    [InlineData("{{ 1 }}{{ 1 + 1 }}{{ tags|length }}{{ 2.5 }}", "1222.5")]
    [InlineData("{% for t in tags %}<|image_{{ loop.index }}|>{% endfor %}", "<|image_1|><|image_2|>")]
    [InlineData("{{ '<|image_' ~ n ~ '|>' }}", "<|image_⟦5⟧|>")]
    [InlineData("{{ '<%d|%d>' % (n, 3) }}{{ '<{}|{:>2}>'.format(n, 3) }}", "<⟦5⟧|3><⟦5⟧| 3>")]
    [InlineData("{{ '7'|int }}{{ ('1' ~ n)|int }}", "7⟦15⟧")]
    [InlineData("{% for i in range(n, n + 2) %}{{ i }}{% endfor %}{% for i in range(2) %}{{ i }}{% endfor %}", "⟦56⟧01")]
    // Names that come with a dict of the inputs stay input.
    [InlineData("{% for k in dict(**d) %}{{ k }}{% endfor %}{% for k in dict(a=1) %}{{ k }}{% endfor %}", "⟦key⟧a")]
    [InlineData("{% macro m() %}{{ kwargs.keys()|first }}{% endmacro %}{{ m(**d) }}{{ m(a=1) }}", "⟦key⟧a")]
    // Words of the language are nobody's special tokens.
    [InlineData("{{ yes }}|{{ none }}", "⟦True⟧|⟦None⟧")]
    // JSON and repr: strings keep their origins, the rest counts as input.
    [InlineData("{{ m|tojson }}", """⟦{"role": "user", "content": "<|im_start|>"}⟧""")]
    [InlineData("{{ {'t': '<|t|>', 'c': c}|tojson }}", """⟦{"⟧t⟦": "⟧<|t|>⟦", "⟧c⟦": "start|>"}⟧""")]
    [InlineData("{{ '<|im_' ~ (c|tojson) }}", "<|im_⟦\"start|>\"⟧")]
    [InlineData("{{ [c, '<|t|>'] }}", "⟦['start|>', '⟧<|t|>⟦']⟧")]
    [InlineData("{{ strftime_now('<|%Y|>') }}", "<|2025|>")]
    [InlineData("{{ strftime_now(role) }}", "⟦user⟧")]
    // Nothing between two pieces of the template joins them: together they are the template's words.
    [InlineData("{{ '<|im_' }}{{ m.none }}{{ 'start|>' }}", "<|im_start|>")]
    public void EveryCharacterKeepsItsOrigin(string template, string expected) =>
        Assert.Equal(expected, JinjaRun.Origins(template, Inputs));

    [Fact]
    public void NeighbouringSegmentsDifferAndNoneIsEmpty()
    {
        const string Template = "a{{ 'b' }}{{ '' }}{{ x }}{{ y }}{{ none_ }}c{% if z %}d{% endif %}";
        IReadOnlyList<PromptSegment> segments = JinjaTemplate.Parse(Template)
            .Render(JinjaRun.Object("""{"x": "1", "y": "2", "z": 1}"""), ct: TestContext.Current.CancellationToken);
        Assert.Equal([new PromptSegment("ab", true), new PromptSegment("12", false), new PromptSegment("cd", true)], segments);
    }

    [Fact]
    public void TrustedVariablesAreTemplateTextUnlessAnInputOverridesThem()
    {
        JsonObject trusted = new() { ["bos_token"] = "<s>", ["eos_token"] = "</s>" };
        JsonObject inputs = new() { ["eos_token"] = "</s>", ["x"] = "hi" };
        IReadOnlyList<PromptSegment> segments = JinjaTemplate.Parse("{{ bos_token + x + eos_token }}")
            .Render(inputs, trusted, ct: TestContext.Current.CancellationToken);
        Assert.Equal([new PromptSegment("<s>", true), new PromptSegment("hi</s>", false)], segments);
    }

    /// <summary>The compact form against an array with one flag for each character.</summary>
    [Fact]
    public void ProvenanceAgreesWithAFlagPerCharacter() =>
        Gen.Select(Gen.Bool.Array[0, 40], Gen.Bool.Array[0, 40], Gen.Int[0, 80], Gen.Int[0, 80]).Sample((left, right, a, b) =>
        {
            RenderContext c = new(JinjaLimits.Default, TimeProvider.System, CancellationToken.None);
            StringValue joined = StringValue.Concat(c, Marked(c, left), Marked(c, right));
            bool[] flags = [.. left, .. right];
            Assert.Equal(flags, Flags(joined));

            int start = Math.Min(Math.Min(a, b), flags.Length);
            int end = Math.Min(Math.Max(a, b), flags.Length);
            StringValue part = joined.Part(c, start, end);
            Assert.Equal(flags[start..end], Flags(part));
            TextBuilder rebuilt = new(c);
            rebuilt.Append(joined, 0, start);
            rebuilt.Append(part);
            rebuilt.Append(joined, end, flags.Length);
            Assert.Equal(flags, Flags(rebuilt.ToValue()));
        });

    private static StringValue Marked(RenderContext c, bool[] flags)
    {
        TextBuilder text = new(c);
        foreach (bool flag in flags)
        {
            text.Append(flag ? 'T' : 'i', flag);
        }

        return text.ToValue();
    }

    private static bool[] Flags(StringValue text) => [.. Enumerable.Range(0, text.Text.Length).Select(text.Provenance.IsTemplateAt)];
}
