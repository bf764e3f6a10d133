namespace Sluice.Text.Tests.Jinja;

/// <summary>A template reaches its inputs and the built-ins, and nothing around them.</summary>
public sealed class SandboxTests
{
    [Theory]
    [InlineData("''.__class__")]
    [InlineData("''['__class__']")]
    [InlineData("[].__class__")]
    [InlineData("x.__init__")]
    [InlineData("x.GetType")]
    [InlineData("x.Count")]
    [InlineData("5 .Value")]
    [InlineData("range.__globals__")]
    [InlineData("m.__call__")]
    [InlineData("m.definition")]
    [InlineData("namespace(_secret=1)._secret")]
    [InlineData("namespace(_secret=1)['_secret']")]
    [InlineData("[].append")]
    [InlineData("x.update")]
    [InlineData("loop")]
    [InlineData("self")]
    [InlineData("context")]
    [InlineData("environment")]
    public void WhatIsNotThereIsUndefined(string expression)
    {
        const string Macro = "{% macro m() %}{% endmacro %}";
        Assert.Equal("False|", JinjaRun.Text($"{Macro}{{{{ ({expression}) is defined }}}}|{{{{ {expression} }}}}", """{"x": {"a": 1}}"""));
    }

    [Theory]
    [InlineData("''.__class__.__mro__")]
    [InlineData("''.__class__.__base__.__subclasses__()")]
    [InlineData("x.GetType()")]
    [InlineData("'{0.__class__.__mro__}'.format('')")]
    [InlineData("'{0.append.__self__}'.format([])")]
    [InlineData("'{a[__class__][x]}'.format_map({'a': 1})")]
    [InlineData("[].append(1)")]
    [InlineData("[].extend([1])")]
    [InlineData("[].insert(0, 1)")]
    [InlineData("[1].pop()")]
    [InlineData("[1].remove(1)")]
    [InlineData("[1].sort()")]
    [InlineData("[1].clear()")]
    [InlineData("x.update({})")]
    [InlineData("x.pop('a')")]
    [InlineData("x.popitem()")]
    [InlineData("x.setdefault('a', 1)")]
    [InlineData("x.clear()")]
    [InlineData("'abc'|attr('upper')")]
    [InlineData("[1]|random")]
    [InlineData("(('',)|map('attr', '__class__'))|list")]
    public void ReachingOutIsAnError(string expression) => JinjaRun.Fails($"{{{{ {expression} }}}}", """{"x": {"a": 1}}""");

    [Fact]
    public void ItemsNamedLikeMethodsOrPrivateMembersAreJustItems()
    {
        const string Inputs = """{"x": {"items": 1, "__class__": "c", "_p": "p", "update": "u"}}""";
        Assert.Equal("1 c c p p u", JinjaRun.Text("{{ x['items'] }} {{ x['__class__'] }} {{ x.__class__ }} {{ x._p }} {{ x['_p'] }} {{ x['update'] }}", Inputs));
        Assert.Equal("items,__class__,_p,update", JinjaRun.Text("{{ x.items()|map('first')|join(',') }}", Inputs));
    }
}
