using System.Runtime.CompilerServices;
using Sluice.Core;
using Sluice.Engine;
using Sluice.Engine.Text;
using Sluice.Text.Output;

namespace Sluice.Server.Chat;

/// <summary>
/// One answer as it is generated, divided into thinking, content and calls. Enumerate it once, then see <see cref="End"/>. An engine
/// that stops before the answer is whole is an error, so that nobody takes it for whole.
/// </summary>
internal sealed class AnswerStream : IAsyncEnumerable<AnswerPart>, IAsyncDisposable
{
    private readonly TextStream _text;
    private readonly OutputParser _parser;
    private readonly int _maxCalls;

    // Parts that have become certain but are not passed on, and tokens of content that is not certain.
    private readonly List<OutputPart> _parts = [];
    private readonly List<TextToken> _tokens = [];
    private int _calls;
    private int _reasoningTokens;
    private AnswerEnd? _end;

    /// <param name="text">The text as the model makes it.</param>
    /// <param name="parser">What divides it.</param>
    /// <param name="maxCalls">Most calls: the answer ends before another begins.</param>
    public AnswerStream(TextStream text, OutputParser parser, int maxCalls = int.MaxValue)
    {
        _text = text;
        _parser = parser;
        _maxCalls = maxCalls;
    }

    /// <summary>How the answer ended.</summary>
    public AnswerEnd End => _end ?? throw new InvalidOperationException("the answer has not ended");

    /// <summary>Asks the engine to stop it. Harmless when it has ended.</summary>
    public void Cancel() => _text.Cancel();

    /// <inheritdoc/>
    public IAsyncEnumerator<AnswerPart> GetAsyncEnumerator(CancellationToken cancellationToken = default) =>
        Enumerate(cancellationToken).GetAsyncEnumerator(cancellationToken);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _text.DisposeAsync();

    private async IAsyncEnumerable<AnswerPart> Enumerate([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        bool isEnough = false;
        await foreach (TextDelta delta in _text.WithCancellation(cancellationToken))
        {
            bool wasReasoning = _parser.IsReasoning;
            _parser.Append(delta.Text, _parts);
            if (wasReasoning || _parser.IsReasoning)
                _reasoningTokens = delta.OutputTokens;
            Note(delta.Tokens, wasReasoning);
            foreach (AnswerPart part in TakeParts(ref isEnough))
                yield return part;
            if (isEnough)
                break;
        }

        TextCompletion completion = isEnough ? await _text.StopAsync() : _text.Completion;
        if (completion.Reason == FinishReason.Cancelled)
            throw new EngineException(EngineFailure.ShuttingDown, "the server is stopping and has cut this answer short");
        if (!isEnough)
        {
            _parser.Finish(_parts);
            foreach (AnswerPart part in TakeParts(ref isEnough))
                yield return part;

            // The last tokens may be parts of a character that never came.
            if (_tokens.Count > 0 && _calls == 0)
                yield return new ContentPart("", [.. _tokens]);
        }

        if (_parser.IsReasoning)
            _reasoningTokens = completion.Usage.OutputTokens;
        AnswerReason reason = completion.Reason == FinishReason.Length ? AnswerReason.Length : _calls > 0 ? AnswerReason.ToolCalls : AnswerReason.Stop;
        _end = new AnswerEnd(reason, completion.StopString, TokenUsage.Of(completion.Usage, _reasoningTokens), completion);
    }

    // Tokens wait for the content they are part of. Those of thinking and of its tags are part of none.
    private void Note(IReadOnlyList<TextToken> tokens, bool wasReasoning)
    {
        if (_parser.IsReasoning)
            _tokens.Clear();
        else if (!wasReasoning || _parts.Exists(static p => p.Kind == OutputPartKind.Content))
            _tokens.AddRange(tokens);
    }

    // Line ends next to a tag are layout, and not in the content.
    private TextToken[] TakeTokens(string content)
    {
        int layout = 0;
        while (content[0] != '\n' && layout < _tokens.Count && _tokens[layout].Chosen.Bytes.Span.TrimStart((byte)'\n').IsEmpty)
            layout++;
        TextToken[] tokens = [.. _tokens.Skip(layout)];
        _tokens.Clear();
        return tokens;
    }

    private List<AnswerPart> TakeParts(ref bool isEnough)
    {
        var taken = new List<AnswerPart>(_parts.Count);
        foreach (OutputPart part in _parts)
        {
            switch (part.Kind)
            {
                case OutputPartKind.Content:
                    taken.Add(new ContentPart(part.Text, TakeTokens(part.Text)));
                    break;
                case OutputPartKind.Reasoning:
                    taken.Add(new ReasoningPart(part.Text));
                    break;
                case OutputPartKind.ToolCallStart when _calls == _maxCalls:
                    isEnough = true;
                    _parts.Clear();
                    return taken;
                case OutputPartKind.ToolCallStart:
                    _calls++;
                    taken.Add(new CallPart(part.Index, part.Id!, part.Text));
                    break;
                case OutputPartKind.ToolCallArguments:
                    taken.Add(new ArgumentsPart(part.Index, part.Text));
                    break;
            }
        }

        // What the text holds of thinking and calls is no content.
        if (_parts.Count > 0 && _parts[^1].Kind != OutputPartKind.Content)
            _tokens.Clear();
        _parts.Clear();
        return taken;
    }
}
