using System.Globalization;

namespace Sluice.Text.Jinja;

/// <summary>
/// A running <c>for</c> loop and its variable <c>loop</c>. It reads one item ahead only when asked what comes next, so that a
/// filtered loop runs its filter when Jinja2 does.
/// </summary>
internal sealed class LoopValue(
    RenderContext c, Value? iterable, IEnumerator<Value> items, int depth0, Func<Value, int, Value>? recurse)
    : Value
{
    private int _index0 = -1;
    private int? _length;
    private IEnumerator<Value> _items = items;
    private Value? _previous;
    private Value? _current;
    private Value? _next;
    private Value[]? _lastChanged;

    public override string TypeName => "LoopContext";

    public override bool IsTrue => Count() > 0;

    public override bool IsCallable => true;

    /// <summary>Moves to the next item; null at the end.</summary>
    public Value? Advance()
    {
        Value? item = Peek();
        _next = null;
        if (item is not null)
        {
            _index0++;
            _previous = _current;
            _current = item;
        }

        return item;
    }

    public override int? Length(RenderContext context) => Count();

    public override IEnumerable<Value> Iterate(RenderContext context)
    {
        while (Advance() is { } item)
        {
            yield return new TupleValue([item, this]);
        }
    }

    public override Value? Attribute(RenderContext context, string name) => name switch
    {
        "index" => new IntegerValue(_index0 + 1),
        "index0" => new IntegerValue(_index0),
        "first" => BoolValue.Of(_index0 == 0),
        "last" => BoolValue.Of(Peek() is null),
        "length" => new IntegerValue(Count()),
        "revindex" => new IntegerValue(Count() - _index0),
        "revindex0" => new IntegerValue(Count() - _index0 - 1),
        "depth" => new IntegerValue(depth0 + 1),
        "depth0" => new IntegerValue(depth0),
        "previtem" => _index0 > 0 ? _previous : UndefinedValue.Because("there is no previous item"),
        "nextitem" => Peek() ?? UndefinedValue.Because("there is no next item"),
        "cycle" => new BoundMethod(this, Cycle),
        "changed" => new BoundMethod(this, Changed),
        _ => null,
    };

    public override Value Call(RenderContext context, Arguments arguments)
    {
        if (recurse is null)
        {
            throw context.Fail("the loop must have the 'recursive' marker to be called recursively");
        }

        return recurse(LoopCall.Bind(context, arguments)[0]!, depth0 + 1);
    }

    public override void AppendRepr(TextBuilder text) =>
        text.Append(string.Create(CultureInfo.InvariantCulture, $"<LoopContext {_index0 + 1}/{Count()}>"), fromTemplate: false);

    private static readonly Signature LoopCall = new("loop", "iterable");

    private static readonly Builtin Cycle = Builtin.Variadic("cycle", static (context, self, arguments) =>
        arguments.Positional.Length == 0
            ? throw context.Fail("no items for cycling given")
            : arguments.Positional[((LoopValue)self)._index0 % arguments.Positional.Length]);

    private static readonly Builtin Changed = Builtin.Variadic("changed", static (context, self, arguments) =>
    {
        LoopValue loop = (LoopValue)self;
        if (loop._lastChanged is { } last && context.Equality.SameItems(last, arguments.Positional))
        {
            return BoolValue.False;
        }

        loop._lastChanged = arguments.Positional;
        return BoolValue.True;
    });

    private Value? Peek()
    {
        if (_next is null && _items.MoveNext())
        {
            _next = _items.Current;
        }

        return _next;
    }

    private int Count()
    {
        if (_length is null && iterable?.Length(c) is { } length)
        {
            _length = length;
        }
        else if (_length is null)
        {
            List<Value> rest = [];
            while (_items.MoveNext())
            {
                c.AllocateItems(1);
                rest.Add(_items.Current);
            }

            _items = rest.GetEnumerator();
            _length = rest.Count + _index0 + 1 + (_next is null ? 0 : 1);
        }

        return _length.Value;
    }
}
