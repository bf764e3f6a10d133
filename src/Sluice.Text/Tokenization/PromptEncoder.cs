using System.Text;

namespace Sluice.Text.Tokenization;

/// <summary>
/// Encodes one text: finds the added tokens where they may be found, and encodes each run of text between them as one.
/// An instance serves a single call.
/// </summary>
/// <remarks>
/// The order is Hugging Face's: added tokens are first looked for in the text as given; what lies between is normalized, and those
/// marked normalized are looked for in that; the rest is split and merged.
/// </remarks>
internal sealed class PromptEncoder(AddedTokenSet rawTokens, AddedTokenSet normalizedTokens, bool composes, PieceSplitter splitter, PieceEncoder pieces)
{
    private readonly List<int> _ids = [];
    private readonly List<Range> _pieces = [];

    // Plain text since the last added token.
    private readonly StringBuilder _run = new();

    // Trusted ranges before this one end before all text still to come.
    private int _firstRange;

    /// <summary>Encodes well-formed text; added tokens are recognised within its <paramref name="trusted"/> ranges alone.</summary>
    public int[] Encode(string text, IReadOnlyList<Range> trusted)
    {
        int done = 0;
        foreach (Range range in trusted)
        {
            int from = range.Start.Value;
            while (rawTokens.TryFind(text, from, range.End.Value, out AddedToken token, out int start, out int end))
            {
                from = end;
                if (!Admits(token, text, done, ref start, ref end))
                    continue;
                AppendText(text, done, start, trusted);
                AppendToken(token, start, end);
                done = end;
            }
        }

        AppendText(text, done, text.Length, trusted);
        EncodeRun();
        return [.. _ids];
    }

    // Applies a token's flags to a place it was found at: whether it counts there, and the white space it takes along, but none that
    // an earlier token took: a token may be found inside that, and what was taken ends where white space ends.
    private static bool Admits(AddedToken token, ReadOnlySpan<char> text, int done, ref int start, ref int end)
    {
        if (token.SingleWord && (UnicodeText.WordEndsAt(text, start) || UnicodeText.WordStartsAt(text, end)))
            return false;
        if (token.StripsLeft)
            start = start > done ? done + text[done..start].TrimEnd().Length : done;
        if (token.StripsRight)
            end = text.Length - text[Math.Max(end, done)..].TrimStart().Length;
        return true;
    }

    private void AppendText(string text, int start, int end, IReadOnlyList<Range> trusted)
    {
        if (start >= end)
            return;
        if (normalizedTokens.IsEmpty)
        {
            _run.Append(text, start, end - start);
            return;
        }

        while (_firstRange < trusted.Count && trusted[_firstRange].End.Value <= start)
            _firstRange++;

        int done = start;
        for (int i = _firstRange; i < trusted.Count && trusted[i].Start.Value < end; i++)
        {
            int from = Math.Max(trusted[i].Start.Value, done);
            int to = Math.Min(trusted[i].End.Value, end);
            if (from >= to)
                continue;
            _run.Append(text, done, from - done);
            AppendTrusted(text[from..to]);
            done = to;
        }

        _run.Append(text, done, end - done);
    }

    // Composing this part before the whole run changes nothing: composition gives the same however often and in what parts it is done.
    private void AppendTrusted(string part)
    {
        string text = composes ? Composition.Compose(part) : part;
        int done = 0;
        int from = 0;
        while (normalizedTokens.TryFind(text, from, text.Length, out AddedToken token, out int start, out int end))
        {
            from = end;
            if (!Admits(token, text, done, ref start, ref end))
                continue;
            _run.Append(text, done, Math.Max(start - done, 0));
            AppendToken(token, start, end);
            done = end;
        }

        _run.Append(text, done, text.Length - done);
    }

    // A token of white space is nothing where the token before it took the white space.
    private void AppendToken(AddedToken token, int start, int end)
    {
        if (start >= end)
            return;
        EncodeRun();
        _ids.Add(token.Id);
    }

    private void EncodeRun()
    {
        if (_run.Length == 0)
            return;

        string text = _run.ToString();
        _run.Clear();
        if (composes)
            text = Composition.Compose(text);
        splitter.Split(text, _pieces);
        foreach (Range piece in _pieces)
            pieces.Encode(text.AsSpan()[piece], _ids);
    }
}
