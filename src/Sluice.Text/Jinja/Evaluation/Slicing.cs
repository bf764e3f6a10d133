using System.Numerics;

namespace Sluice.Text.Jinja;

/// <summary>
/// A slice of a sequence of known length: <paramref name="Count"/> items from <paramref name="Start"/>, every
/// <paramref name="Step"/>th, up to <paramref name="Stop"/>.
/// </summary>
internal readonly record struct Slice(int Start, int Stop, int Step, int Count);

/// <summary>Python's indices and slices: negative ones count from the end, and slices are never out of range.</summary>
internal static class Slicing
{
    /// <summary>The position <paramref name="key"/> means; false when it is no integer or out of range.</summary>
    public static bool TryIndex(Value key, int length, out int index)
    {
        index = -1;
        BigInteger value;
        switch (key)
        {
            case IntegerValue integer:
                value = integer.Value;
                break;
            case BoolValue flag:
                value = flag.Value ? 1 : 0;
                break;
            default:
                return false;
        }

        if (value < 0)
        {
            value += length;
        }

        if (value < 0 || value >= length)
        {
            return false;
        }

        index = (int)value;
        return true;
    }

    /// <summary>The slice that the three bounds, any of them absent, mean.</summary>
    public static Slice Resolve(RenderContext c, Value? start, Value? stop, Value? step, int length)
    {
        BigInteger by = Bound(c, step) ?? 1;
        if (by.IsZero)
        {
            throw c.Fail("slice step cannot be zero");
        }

        bool backwards = by.Sign < 0;
        int lowest = backwards ? -1 : 0;
        int highest = backwards ? length - 1 : length;
        int from = Clamp(Bound(c, start), length, lowest, highest) ?? (backwards ? highest : lowest);
        int to = Clamp(Bound(c, stop), length, lowest, highest) ?? (backwards ? lowest : highest);
        int distance = backwards ? from - to : to - from;
        if (distance <= 0)
        {
            return new Slice(from, to, backwards ? -1 : 1, 0);
        }

        // A step longer than the sequence takes one item, however long it is.
        int stride = (int)BigInteger.Min(BigInteger.Abs(by), Math.Max(length, 1));
        return new Slice(from, to, backwards ? -stride : stride, ((distance - 1) / stride) + 1);
    }

    /// <summary><c>target[start:stop:step]</c>.</summary>
    public static Value Apply(RenderContext c, Value target, Value? start, Value? stop, Value? step)
    {
        switch (target)
        {
            case StringValue text:
                return Text(c, text, Resolve(c, start, stop, step, text.Length(c)!.Value));
            case SequenceValue sequence:
                return Sequence(c, sequence, Resolve(c, start, stop, step, sequence.Items.Length));
            case RangeValue range:
                return range.Slice(Resolve(c, start, stop, step, range.Count));
            case UndefinedValue undefined:
                throw c.Fail(undefined.Message);
            case DictValue:
                throw c.Fail("unhashable type: 'slice'");
            default:
                throw c.Fail($"'{target.TypeName}' object is not subscriptable");
        }
    }

    public static StringValue Reverse(RenderContext c, StringValue text) =>
        Text(c, text, new Slice(text.Length(c)!.Value - 1, -1, -1, text.Length(c)!.Value));

    private static StringValue Text(RenderContext c, StringValue text, Slice slice)
    {
        c.SpendOnText(text.HasSurrogates ? text.Text.Length : 0);
        if (slice.Step == 1 || slice.Count == 0)
        {
            int from = slice.Count == 0 ? 0 : text.Advance(0, slice.Start);
            return text.Part(c, from, text.Advance(from, slice.Count));
        }

        int[]? offsets = text.HasSurrogates ? Offsets(c, text) : null;
        TextBuilder result = c.NewText();
        for (int i = 0; i < slice.Count; i++)
        {
            c.Spend(1);
            int index = slice.Start + (i * slice.Step);
            int at = offsets is null ? index : offsets[index];
            result.Append(text, at, at + text.WidthAt(at));
        }

        return result.ToValue(text.IsMarkup);
    }

    private static int[] Offsets(RenderContext c, StringValue text)
    {
        int[] offsets = new int[text.Length(c)!.Value];
        c.AllocateObject((long)offsets.Length * sizeof(int));
        for (int i = 0, at = 0; i < offsets.Length; i++, at += text.WidthAt(at))
        {
            offsets[i] = at;
        }

        return offsets;
    }

    private static SequenceValue Sequence(RenderContext c, SequenceValue sequence, Slice slice)
    {
        c.AllocateItems(slice.Count);
        Value[] items = new Value[slice.Count];
        for (int i = 0; i < items.Length; i++)
        {
            items[i] = sequence.Items[slice.Start + (i * slice.Step)];
        }

        return sequence.With(items);
    }

    private static BigInteger? Bound(RenderContext c, Value? bound) => bound switch
    {
        null or NoneValue => null,
        IntegerValue integer => integer.Value,
        BoolValue flag => flag.Value ? 1 : 0,
        _ => throw c.Fail("slice indices must be integers or None"),
    };

    private static int? Clamp(BigInteger? bound, int length, int lowest, int highest)
    {
        if (bound is not { } value)
        {
            return null;
        }

        if (value < 0)
        {
            value += length;
        }

        return (int)BigInteger.Min(BigInteger.Max(value, lowest), highest);
    }
}
