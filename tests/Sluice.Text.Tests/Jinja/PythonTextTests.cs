using System.Globalization;
using System.Numerics;
using System.Text;
using CsCheck;
using Sluice.Text.Jinja;

namespace Sluice.Text.Tests.Jinja;

/// <summary>The parts that copy Python, against simple models of them.</summary>
public sealed class PythonTextTests
{
    private static RenderContext NewContext() => new(JinjaLimits.Default, TimeProvider.System, CancellationToken.None);

    [Theory]
    [InlineData(0.0, "0.0")]
    [InlineData(-0.0, "-0.0")]
    [InlineData(1.0, "1.0")]
    [InlineData(0.1, "0.1")]
    [InlineData(0.30000000000000004, "0.30000000000000004")]
    [InlineData(1e15, "1000000000000000.0")]
    [InlineData(1e16, "1e+16")]
    [InlineData(123456789012345680.0, "1.2345678901234568e+17")]
    [InlineData(0.0001, "0.0001")]
    [InlineData(0.00001, "1e-05")]
    [InlineData(5e-324, "5e-324")]
    [InlineData(1.7976931348623157e308, "1.7976931348623157e+308")]
    [InlineData(double.PositiveInfinity, "inf")]
    [InlineData(double.NaN, "nan")]
    public void FloatsPrintAsInPython(double value, string expected) => Assert.Equal(expected, FloatText.Repr(value));

    [Fact]
    public void PrintedFloatsReadBackAsThemselves() => Gen.Double.Sample(value =>
    {
        if (double.IsFinite(value))
        {
            Assert.Equal(value, double.Parse(FloatText.Repr(value), CultureInfo.InvariantCulture));
        }
    });

    /// <summary>Rounding half to even on the exact value, which decimal arithmetic shows for numbers it holds exactly.</summary>
    [Fact]
    public void FixedDecimalsRoundTheExactValueHalfToEven() =>
        Gen.Select(Gen.Int[-1_000_000, 1_000_000], Gen.Int[0, 10], Gen.Int[0, 6]).Sample((numerator, power, decimals) =>
        {
            double value = numerator / Math.Pow(2, power);
            decimal exact = Math.Round(Math.Abs((decimal)value), decimals, MidpointRounding.ToEven);
            Assert.Equal(exact.ToString("F" + decimals, CultureInfo.InvariantCulture), FloatText.Format(Math.Abs(value), 'f', decimals));
            Assert.Equal((double)exact, FloatText.Round(Math.Abs(value), decimals));
        });

    [Fact]
    public void IntegersConvertToTheNearestFloat() => Gen.Select(Gen.ULong, Gen.Int[0, 200]).Sample((value, shift) =>
    {
        BigInteger integer = ((BigInteger)value << shift) + 1;
        double expected = double.Parse(integer.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        Assert.Equal(expected, PythonNumber.ToDouble(integer));
        Assert.Equal(-expected, PythonNumber.ToDouble(-integer));
    });

    [Fact]
    public void SearchingFindsWhatDotNetFinds() =>
        Gen.Select(Gen.Char["ab"].Array[0, 120], Gen.Char["ab"].Array[1, 40], Gen.Int[0, 120]).Sample((text, needle, at) =>
        {
            string hay = new(text);
            string wanted = new(needle);
            at = Math.Min(at, hay.Length);
            TextSearch search = new(NewContext(), wanted);
            Assert.Equal(hay.IndexOf(wanted, at, StringComparison.Ordinal), search.IndexIn(hay, at));
            Assert.Equal(hay[..at].LastIndexOf(wanted, StringComparison.Ordinal), search.LastIndexIn(hay, at));
        });

    /// <summary>Against the definition: walk from start by step while inside.</summary>
    [Fact]
    public void SlicesTakeWhatTheirDefinitionSays() =>
        Gen.Select(Gen.Int[0, 8], Gen.Int[-10, 10], Gen.Int[-10, 10], Gen.Int[-4, 4]).Sample((length, start, stop, step) =>
        {
            if (step == 0)
            {
                return;
            }

            RenderContext c = NewContext();
            string letters = "abcdefgh"[..length];
            StringBuilder expected = new();
            int from = start < 0 ? Math.Max(start + length, step < 0 ? -1 : 0) : Math.Min(start, step < 0 ? length - 1 : length);
            int to = stop < 0 ? Math.Max(stop + length, step < 0 ? -1 : 0) : Math.Min(stop, step < 0 ? length - 1 : length);
            for (int i = from; step > 0 ? i < to : i > to; i += step)
            {
                expected.Append(letters[i]);
            }

            Value sliced = Slicing.Apply(
                c, StringValue.FromInput(letters), new IntegerValue(start), new IntegerValue(stop), new IntegerValue(step));
            Assert.Equal(expected.ToString(), ((StringValue)sliced).Text);
        });

    [Fact]
    public void SortingIsStableInBothDirections() => Gen.Int[0, 5].Array[0, 40].Sample(numbers =>
    {
        RenderContext c = NewContext();
        Value[] keys = [.. numbers.Select(static n => new IntegerValue(n))];
        Value[] items = [.. Enumerable.Range(0, numbers.Length).Select(static i => new IntegerValue(i))];
        static int[] Order(Value[] sorted) => [.. sorted.Select(static v => (int)((IntegerValue)v).Value)];
        int[] positions = [.. Enumerable.Range(0, numbers.Length)];
        Assert.Equal(positions.OrderBy(i => numbers[i]), Order(StableSort.By(c, items, keys)));
        Assert.Equal(positions.OrderByDescending(i => numbers[i]), Order(StableSort.By(c, items, keys, descending: true)));
    });

    [Fact]
    public void OrderIsByCodePoints()
    {
        RenderContext c = NewContext();
        string[] ascending = ["", "a", "ab", "b", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff"];
        for (int i = 0; i < ascending.Length; i++)
        {
            for (int j = 0; j < ascending.Length; j++)
            {
                Assert.Equal(i < j, Ordering.IsLess(c, StringValue.FromInput(ascending[i]), StringValue.FromInput(ascending[j])));
            }
        }
    }

    [Theory]
    [InlineData("%a %A %b %B", "Thu Thursday Jan January")]
    [InlineData("%d %-d %e|%m %-m|%y %Y %C", "02 2  2|01 1|25 2025 20")]
    [InlineData("%H:%M:%S.%f %I %p %P %k %l", "03:04:05.000000 03 AM am  3  3")]
    [InlineData("%j %U %W %V %G %u %w", "002 00 00 01 2025 4 4")]
    [InlineData("%F %T %R %D %r %c %x %X", "2025-01-02 03:04:05 03:04 01/02/25 03:04:05 AM Thu Jan  2 03:04:05 2025 01/02/25 03:04:05")]
    [InlineData("100%% %n%t|%^a|%Q|%", "100% \n\t|THU|%Q|%")]
    public void DatesPrintAsInC(string format, string expected) =>
        Assert.Equal(expected, JinjaRun.Text("{{ strftime_now(f) }}", new System.Text.Json.Nodes.JsonObject { ["f"] = format }.ToJsonString()));
}
