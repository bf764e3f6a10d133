using System.Globalization;
using System.Numerics;

namespace Sluice.Text.Jinja;

/// <summary>
/// What <c>range()</c> gives: at most <see cref="JinjaLimits.RangeLength"/> numbers, counted but not stored; of the inputs when a
/// bound is.
/// </summary>
internal sealed class RangeValue(BigInteger start, BigInteger step, int count, BigInteger stop, bool fromInput) : Value
{
    public override string TypeName => "range";

    public override bool IsTrue => count > 0;

    public int Count => count;

    public IntegerValue At(int index) => new(start + (step * index), fromInput);

    public override int? Length(RenderContext c) => count;

    public override IEnumerable<Value> Iterate(RenderContext c)
    {
        for (int i = 0; i < count; i++)
        {
            yield return At(i);
        }
    }

    public override IEnumerable<Value> Reverse(RenderContext c)
    {
        for (int i = count - 1; i >= 0; i--)
        {
            yield return At(i);
        }
    }

    public override Value? Item(RenderContext c, Value key) => Slicing.TryIndex(key, count, out int index) ? At(index) : null;

    /// <summary>A part of the range, itself a range.</summary>
    public RangeValue Slice(Slice slice)
    {
        BigInteger from = start + (step * slice.Start);
        return new RangeValue(from, step * slice.Step, slice.Count, start + (step * slice.Stop), fromInput);
    }

    public override Value? Attribute(RenderContext c, string name) => name switch
    {
        "start" => new IntegerValue(start, fromInput),
        "stop" => new IntegerValue(stop, fromInput),
        "step" => new IntegerValue(step, fromInput),
        _ => null,
    };

    public override void AppendRepr(TextBuilder text)
    {
        string last = step.IsOne ? "" : string.Create(CultureInfo.InvariantCulture, $", {step}");
        text.Append(string.Create(CultureInfo.InvariantCulture, $"range({start}, {stop}{last})"), fromTemplate: false);
    }
}
