using System.Numerics;

namespace Sluice.Text.Jinja;

/// <summary>The global functions: Jinja2's, and those transformers adds for chat templates.</summary>
internal static class Globals
{
    private static readonly (string Name, FunctionValue Function)[] All =
    [
        Function(Builtin.Method("range", "start stop? step?", Range)),
        Function(Builtin.Variadic("dict", static (c, _, a) => Dict(c, "dict", a))),
        Function(Builtin.Variadic("namespace", static (c, _, a) => Namespace(c, a))),
        Function(Builtin.Variadic("cycler", Cycler)),
        Function(Builtin.Define("joiner", "sep?", static (_, _, a) => new JoinerValue(a.Get(0, StringValue.FromTemplate(", "))))),
        Function(Builtin.Define("raise_exception", "message", static (c, _, a) => throw c.Fail(Message(c, a[0]!)))),
        Function(Builtin.Define("strftime_now", "format", static (c, _, a) => StrfTime.Format(c, a.Text(0), c.Time.GetLocalNow()))),
    ];

    /// <summary>Whether a template knows this name without being given it.</summary>
    public static bool Exists(string name) => Array.Exists(All, g => g.Name == name);

    public static void AddTo(Scope scope)
    {
        foreach ((string name, FunctionValue function) in All)
        {
            scope.Set(name, function);
        }
    }

    private static (string Name, FunctionValue Function) Function(Builtin builtin) => (builtin.Name, new FunctionValue(builtin));

    // One line, and no longer than a person reads.
    private static string Message(RenderContext c, Value message)
    {
        string text = c.ToText(message).Text;
        return text.Length <= 1000 ? text : string.Concat(text.AsSpan(0, 1000), "...");
    }

    private static RangeValue Range(RenderContext c, Value self, Bound a)
    {
        bool IsInput(int index) => a[index] is NumberValue { FromInput: true };
        BigInteger Number(int index, BigInteger otherwise) => a[index] switch
        {
            null => otherwise,
            NumberValue number and not FloatValue => PythonNumber.ToInteger(number),
            UndefinedValue undefined => throw c.Fail(undefined.Message),
            var other => throw c.Fail($"'{other.TypeName}' object cannot be interpreted as an integer"),
        };
        BigInteger start = a[1] is null ? 0 : Number(0, 0);
        BigInteger stop = a[1] is null ? Number(0, 0) : Number(1, 0);
        BigInteger step = Number(2, 1);
        if (step.IsZero)
        {
            throw c.Fail("range() arg 3 must not be zero");
        }

        BigInteger distance = step.Sign > 0 ? stop - start : start - stop;
        BigInteger count = distance.Sign <= 0 ? 0 : ((distance - 1) / BigInteger.Abs(step)) + 1;
        return count <= c.Limits.RangeLength
            ? new RangeValue(start, step, (int)count, stop, IsInput(0) || IsInput(1) || IsInput(2))
            : throw c.Fail($"limit RangeLength: range() of more than {c.Limits.RangeLength} numbers");
    }

    private static DictValue Dict(RenderContext c, string function, Arguments arguments)
    {
        if (arguments.Positional.Length > 1)
        {
            throw c.Fail($"{function}() takes at most 1 positional argument ({arguments.Positional.Length} given)");
        }

        DictValue result = new(c);
        c.AllocateItems(32);
        if (arguments.Positional is [var source])
        {
            if (source is UndefinedValue undefined)
            {
                throw c.Fail(undefined.Message);
            }

            Value pairs = source is DictValue dict ? new DictView(dict, DictPart.Items) : source;
            foreach (Value pair in c.Each(pairs))
            {
                Value[] parts = c.ToArray(pair);
                if (parts.Length != 2)
                {
                    throw c.Fail($"{function}() expects a dict or pairs; an item has {parts.Length} parts");
                }

                result.Set(c, parts[0], parts[1]);
            }
        }

        foreach ((StringValue name, Value value) in arguments.Named)
        {
            result.Set(c, name, value);
        }

        return result;
    }

    private static NamespaceValue Namespace(RenderContext c, Arguments arguments) => new(Dict(c, "namespace", arguments));

    private static CyclerValue Cycler(RenderContext c, Value self, Arguments arguments) => arguments.Positional.Length > 0
        ? new CyclerValue(arguments.Positional)
        : throw c.Fail("cycler() needs at least one item");
}
