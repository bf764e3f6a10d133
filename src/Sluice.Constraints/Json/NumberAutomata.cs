using System.Globalization;
using Sluice.Constraints.Automata;

namespace Sluice.Constraints.Json;

/// <summary>
/// Conditions on numbers as automata over their decimal digits, without exponents. They assume JSON's syntax, with which they are
/// intersected: no leading zeros, a digit before and after the point.
/// </summary>
internal static class NumberAutomata
{
    private static readonly ByteClasses Classes = ByteClasses.Distinguishing("-.0123456789"u8);

    /// <summary>Numbers that compare with <paramref name="bound"/> as wanted.</summary>
    /// <param name="bound">What to compare with.</param>
    /// <param name="above">Whether numbers above the bound are wanted, or those below.</param>
    /// <param name="inclusive">Whether the bound itself is wanted.</param>
    /// <param name="budget">Limits the states.</param>
    public static Dfa Compare(DecimalNumber bound, bool above, bool inclusive, CompileBudget budget) =>
        Dfa.Explore(new Comparison(bound, above, inclusive), budget, "a bound").Minimised();

    /// <summary>Multiples of <paramref name="divisor"/>, which is above zero; null if it has too many digits.</summary>
    public static Dfa? Multiples(DecimalNumber divisor, CompileBudget budget)
    {
        const int Largest = 5_000;
        return long.TryParse(divisor.Whole + divisor.Fraction, NumberStyles.None, CultureInfo.InvariantCulture, out long scaled) && scaled <= Largest
            ? Dfa.Explore(new Remainders((int)scaled, divisor.Fraction.Length), budget, "multipleOf").Minimised()
            : null;
    }

    private enum Part : byte
    {
        Start,
        Sign,
        Whole,
        Fraction,
    }

    /// <param name="IsNegative">Whether a sign was read.</param>
    /// <param name="Part">Where in the number.</param>
    /// <param name="Digits">Digits of this part, as far as they matter.</param>
    /// <param name="Order">How the digits so far compare with as many of the bound's.</param>
    private readonly record struct Compared(bool IsNegative, Part Part, int Digits, int Order);

    private sealed class Comparison(DecimalNumber bound, bool above, bool inclusive) : IByteAutomaton<Compared>
    {
        public ByteClasses Classes => NumberAutomata.Classes;

        public Compared Start => default;

        public bool IsAccepting(Compared state)
        {
            if (state.Part is Part.Start or Part.Sign)
                return false;
            int magnitude = Magnitude(state);
            int order = (state.IsNegative, bound.IsNegative) switch
            {
                (false, false) => magnitude,
                (true, true) => -magnitude,
                (false, true) => 1,
                (true, false) => bound.IsZero && magnitude == 0 ? 0 : -1,
            };
            return order == 0 ? inclusive : order > 0 == above;
        }

        public bool TryStep(Compared state, byte value, out Compared next)
        {
            next = state;
            if (value == '-')
            {
                next = new Compared(true, Part.Sign, 0, 0);
                return state.Part == Part.Start;
            }

            if (value == '.')
            {
                next = new Compared(state.IsNegative, Part.Fraction, 0, WholeOrder(state));
                return state.Part == Part.Whole;
            }

            if (!char.IsAsciiDigit((char)value))
                return false;
            if (state.Part is Part.Start or Part.Sign)
                state = new Compared(state.IsNegative, Part.Whole, 0, 0);
            string digits = state.Part == Part.Whole ? bound.Whole : bound.Fraction;
            char against = state.Digits < digits.Length ? digits[state.Digits] : '0';
            int order = state.Order != 0 || (state.Part == Part.Whole && state.Digits >= digits.Length) ? state.Order : value.CompareTo((byte)against);
            next = state with
            {
                Digits = state.Part == Part.Fraction && order != 0 ? 0 : Math.Min(state.Digits + 1, digits.Length + (state.Part == Part.Whole ? 1 : 0)),
                Order = Math.Sign(order),
            };
            return true;
        }

        private int WholeOrder(Compared state) => state.Digits == bound.Whole.Length ? state.Order : state.Digits.CompareTo(bound.Whole.Length);

        /// <summary>The number without its sign against the bound without its.</summary>
        private int Magnitude(Compared state)
        {
            int order = state.Part == Part.Whole ? WholeOrder(state) : state.Order;
            int read = state.Part == Part.Whole ? 0 : state.Digits;
            return order != 0 ? order : read < bound.Fraction.Length ? -1 : 0;
        }
    }

    /// <param name="Part">Where in the number.</param>
    /// <param name="Digits">Digits after the point.</param>
    /// <param name="Value">The digits so far, modulo the divisor.</param>
    private readonly record struct Divided(Part Part, int Digits, int Value);

    /// <summary>Divides while reading: <paramref name="divisor"/> is scaled by ten to the power of <paramref name="places"/>.</summary>
    private sealed class Remainders(int divisor, int places) : IByteAutomaton<Divided>
    {
        public ByteClasses Classes => NumberAutomata.Classes;

        public Divided Start => default;

        public bool IsAccepting(Divided state)
        {
            if (state.Part is Part.Start or Part.Sign || (state.Part == Part.Fraction && state.Digits == 0))
                return false;
            long value = state.Value;
            for (int i = state.Digits; i < places; i++)
                value = value * 10 % divisor;
            return value == 0;
        }

        public bool TryStep(Divided state, byte value, out Divided next)
        {
            next = state;
            if (value == '-')
            {
                next = new Divided(Part.Sign, 0, 0);
                return state.Part == Part.Start;
            }

            if (value == '.')
            {
                next = state with { Part = Part.Fraction };
                return state.Part == Part.Whole && places > 0;
            }

            if (!char.IsAsciiDigit((char)value) || (state.Part == Part.Fraction && state.Digits == places))
                return false;
            next = new Divided(
                state.Part == Part.Fraction ? Part.Fraction : Part.Whole,
                state.Digits + (state.Part == Part.Fraction ? 1 : 0),
                (int)(((state.Value * 10L) + value - '0') % divisor));
            return true;
        }
    }
}
