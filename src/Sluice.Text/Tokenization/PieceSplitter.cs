using System.Buffers;
using System.Diagnostics;
using System.Text.RegularExpressions;
using Sluice.Core;

namespace Sluice.Text.Tokenization;

/// <summary>Cuts text into the pieces that are encoded on their own: matches and what lies between them, by one pattern after another.</summary>
internal sealed class PieceSplitter
{
    // A pattern from a file is cut off when it is this slow over a whole text, whatever each single match takes.
    private static readonly TimeSpan TimeAllowed = TimeSpan.FromSeconds(2);
    private const double CharsPerSecondAllowed = 100_000;

    private readonly Regex[] _patterns;

    /// <summary>Splits by each pattern in turn, the later ones within the pieces of the earlier.</summary>
    public PieceSplitter(IReadOnlyList<string> patterns) => _patterns = [.. patterns.Select(SplitPatterns.Compile)];

    /// <summary>Splits well-formed text into <paramref name="pieces"/>, in order and without gaps; none is empty.</summary>
    /// <exception cref="TokenizerException">A pattern from the file takes too long on this text.</exception>
    public void Split(ReadOnlySpan<char> text, List<Range> pieces)
    {
        pieces.Clear();
        if (text.IsEmpty)
            return;

        if (!AstralShadow.IsNeeded(text))
        {
            SplitPlain(text, pieces);
            return;
        }

        char[] rented = ArrayPool<char>.Shared.Rent(text.Length);
        Span<char> shadow = rented.AsSpan(0, AstralShadow.Write(text, rented));
        SplitPlain(shadow, pieces);
        ArrayPool<char>.Shared.Return(rented);

        int start = 0;
        for (int i = 0; i < pieces.Count; i++)
        {
            int characters = pieces[i].End.Value - pieces[i].Start.Value;
            int end = start + AstralShadow.Measure(text[start..], characters);
            pieces[i] = start..end;
            start = end;
        }
    }

    private void SplitPlain(ReadOnlySpan<char> text, List<Range> pieces)
    {
        pieces.Add(0..text.Length);
        foreach (Regex pattern in _patterns)
        {
            // The pieces of the pattern before, then, behind them, this one's.
            int before = pieces.Count;
            for (int i = 0; i < before; i++)
                SplitPiece(pattern, text, pieces[i], pieces);
            pieces.RemoveRange(0, before);
        }
    }

    private static void SplitPiece(Regex pattern, ReadOnlySpan<char> text, Range piece, List<Range> pieces)
    {
        (int offset, int length) = piece.GetOffsetAndLength(text.Length);
        bool limited = pattern.MatchTimeout != Regex.InfiniteMatchTimeout;
        TimeSpan allowed = TimeAllowed + TimeSpan.FromSeconds(length / CharsPerSecondAllowed);
        long began = Stopwatch.GetTimestamp();
        int done = 0;
        try
        {
            foreach (ValueMatch match in pattern.EnumerateMatches(text.Slice(offset, length)))
            {
                Add(offset, done, match.Index, pieces);
                Add(offset, match.Index, match.Index + match.Length, pieces);
                done = match.Index + match.Length;
                if (limited && Stopwatch.GetElapsedTime(began) > allowed)
                    throw TooSlow(pattern, length, inner: null);
            }
        }
        catch (RegexMatchTimeoutException e)
        {
            throw TooSlow(pattern, length, e);
        }

        Add(offset, done, length, pieces);
    }

    private static void Add(int offset, int start, int end, List<Range> pieces)
    {
        if (start < end)
            pieces.Add((offset + start)..(offset + end));
    }

    private static TokenizerException TooSlow(Regex pattern, int length, Exception? inner) =>
        TokenizerErrors.InPattern(pattern.ToString(), $"takes too long on a text of {length} characters", inner);
}
