using System.Text;
using Sluice.Constraints.Automata;

namespace Sluice.Constraints.Json;

/// <summary>
/// Strings as JSON spells them. Where the content is constrained, a character is written in one way: as it is, except that quotes,
/// backslashes and control characters are escaped.
/// </summary>
internal static class JsonStringEncoding
{
    /// <summary>The text as a JSON string, quotes included.</summary>
    public static string Quote(string text)
    {
        var quoted = new StringBuilder(text.Length + 2).Append('"');
        foreach (char c in text)
        {
            string? escape = c switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\b' => "\\b",
                '\f' => "\\f",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                < ' ' => $"\\u{(int)c:x4}",
                _ => null,
            };
            _ = escape is null ? quoted.Append(c) : quoted.Append(escape);
        }

        return quoted.Append('"').ToString();
    }

    /// <summary>The JSON strings whose content the automaton accepts.</summary>
    public static Dfa Quoted(Dfa content, CompileBudget budget, string what) =>
        content.IsEmpty ? content : Dfa.Explore(new QuotedAutomaton(content), budget, what).Minimised();

    private enum Phase : byte
    {
        Start,
        Content,
        Backslash,
        Unicode,
        Zero,
        ZeroZero,
        High,
        End,
    }

    /// <param name="State">Of the content's automaton.</param>
    /// <param name="Phase">Where in the spelling.</param>
    /// <param name="High">The higher hexadecimal digit of an escape, once read.</param>
    private readonly record struct Place(int State, Phase Phase, int High = 0);

    private sealed class QuotedAutomaton(Dfa content) : IByteAutomaton<Place>
    {
        private static readonly byte[] Telling = [.. Enumerable.Range(0, 32).Select(value => (byte)value), .. "\"\\bfnrtu0123456789abcdefABCDEF"u8];

        public ByteClasses Classes { get; } = ByteClasses.Combine(content.Classes, ByteClasses.Distinguishing(Telling));

        public Place Start => new(0, Phase.Start);

        public bool IsAccepting(Place place) => place.Phase == Phase.End;

        public bool TryStep(Place place, byte value, out Place next)
        {
            next = place;
            switch (place.Phase)
            {
                case Phase.Start:
                    next = place with { Phase = Phase.Content };
                    return value == '"';
                case Phase.Content when value == '"':
                    next = new Place(0, Phase.End);
                    return content.IsAccepting(place.State);
                case Phase.Content when value == '\\':
                    next = place with { Phase = Phase.Backslash };
                    return true;
                case Phase.Content:
                    return value >= ' ' && TryContent(place.State, value, out next);
                case Phase.Backslash when value == 'u':
                    next = place with { Phase = Phase.Unicode };
                    return true;
                case Phase.Backslash:
                    return "\"\\bfnrt"u8.IndexOf(value) is >= 0 and int escape && TryContent(place.State, "\"\\\b\f\n\r\t"u8[escape], out next);
                case Phase.Unicode or Phase.Zero:
                    next = place with { Phase = place.Phase + 1 };
                    return value == '0';
                case Phase.ZeroZero:
                    next = place with { Phase = Phase.High, High = value - '0' };
                    return value is (byte)'0' or (byte)'1';
                case Phase.High:
                    return char.IsAsciiHexDigit((char)value)
                        && TryContent(place.State, (byte)((place.High * 16) + Convert.ToInt32(((char)value).ToString(), 16)), out next);
                default:
                    return false;
            }
        }

        private bool TryContent(int state, byte value, out Place next)
        {
            next = new Place(content.Step(state, value), Phase.Content);
            return next.State != Dfa.Dead;
        }
    }
}
