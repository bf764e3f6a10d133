using System.Text;
using Sluice.Core;

namespace Sluice.Text;

/// <summary>
/// Finds the first stop string in text that comes in parts, and passes on the text before it. Text that may turn out to begin a stop
/// string is held back until that is decided. One instance per stream.
/// </summary>
/// <remarks>
/// The stop string that is complete first counts, and of several complete at once the longest, so the result does not depend on how
/// the text is cut. Each stop string is followed by a Knuth-Morris-Pratt automaton: time is linear in the text for each.
/// </remarks>
public sealed class StopStrings
{
    private readonly Stop[] _stops;

    // How much of each stop string the text so far ends with.
    private readonly int[] _matched;

    // The end of the text so far, not yet passed on: the longest beginning of a stop string it ends with.
    private readonly StringBuilder _held = new();

    /// <summary>Prepares to look for <paramref name="stops"/>; there may be none.</summary>
    /// <exception cref="RequestException">A stop string is empty.</exception>
    public StopStrings(IReadOnlyList<string> stops)
    {
        _stops = new Stop[stops.Count];
        _matched = new int[stops.Count];
        for (int i = 0; i < stops.Count; i++)
            _stops[i] = new Stop(stops[i]);
    }

    /// <summary>The stop string that has ended the text, or null.</summary>
    public string? Matched { get; private set; }

    /// <summary>Takes more text and appends to <paramref name="emit"/> what is now certain to precede any stop string.</summary>
    /// <returns>True once a stop string is complete: the text before it has been passed on; it and all that follows are dropped.</returns>
    public bool Append(string text, StringBuilder emit)
    {
        if (Matched is not null)
            return true;

        for (int i = 0; i < text.Length; i++)
        {
            if (Advance(text[i]) is not { } completed)
                continue;

            _held.Append(text, 0, i + 1);
            _held.Length -= completed.Length;
            Flush(emit);
            Matched = completed;
            return true;
        }

        int mayBegin = 0;
        foreach (int matched in _matched)
            mayBegin = Math.Max(mayBegin, matched);
        _held.Append(text);
        int certain = _held.Length - mayBegin;
        emit.Append(_held, 0, certain);
        _held.Remove(0, certain);
        return false;
    }

    /// <summary>Ends the text: what was held back did not become a stop string and is appended to <paramref name="emit"/>.</summary>
    public void Flush(StringBuilder emit)
    {
        emit.Append(_held);
        _held.Clear();
        Array.Clear(_matched);
    }

    // Returns the longest stop string that ends with this character, or null.
    private string? Advance(char c)
    {
        string? completed = null;
        for (int i = 0; i < _stops.Length; i++)
        {
            _matched[i] = _stops[i].Advance(_matched[i], c);
            if (_matched[i] == _stops[i].Text.Length && _matched[i] > (completed?.Length ?? 0))
                completed = _stops[i].Text;
        }

        return completed;
    }

    private sealed class Stop
    {
        // _fallback[n]: of the first n characters, the length of the longest proper beginning that is also an end.
        private readonly int[] _fallback;

        public Stop(string text)
        {
            if (string.IsNullOrEmpty(text))
                throw new RequestException("a stop string must not be empty", "stop");

            Text = text;
            _fallback = new int[text.Length + 1];
            for (int i = 1; i < text.Length; i++)
                _fallback[i + 1] = Advance(_fallback[i], text[i]);
        }

        public string Text { get; }

        public int Advance(int matched, char c)
        {
            while (matched > 0 && Text[matched] != c)
                matched = _fallback[matched];
            return Text[matched] == c ? matched + 1 : 0;
        }
    }
}
