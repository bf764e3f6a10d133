using System.Runtime.CompilerServices;
using System.Text;
using Sluice.Core;
using Sluice.Engine.Sampling;
using Sluice.Text;

namespace Sluice.Engine.Text;

/// <summary>
/// The text of one request as it becomes certain: whole characters, and nothing that may still turn out to begin a stop string.
/// Enumerate it once, then see <see cref="Completion"/>. If the request fails, the enumeration throws the error. Leaving it early, or
/// disposing, cancels the request.
/// </summary>
public sealed class TextStream : IAsyncEnumerable<TextDelta>, IAsyncDisposable
{
    private readonly GenerationStream _tokens;
    private readonly StreamingDecoder _decoder;
    private readonly StopStrings _stops;
    private readonly int[] _stopTokens;
    private readonly TokenAttribution? _attribution;
    private TextCompletion? _completion;
    private int _outputTokens;

    internal TextStream(GenerationStream tokens, Tokenizer tokenizer, StopStrings stops, int[] stopTokens, bool wantsLogprobs)
    {
        _tokens = tokens;
        _decoder = new StreamingDecoder(tokenizer);
        _stops = stops;
        _stopTokens = stopTokens;
        _attribution = wantsLogprobs ? new TokenAttribution(tokenizer) : null;
    }

    /// <summary>How the text ended.</summary>
    /// <exception cref="InvalidOperationException">It has not.</exception>
    public TextCompletion Completion => _completion ?? throw new InvalidOperationException("the text has not ended");

    /// <summary>Asks the engine to stop this request. Harmless when it has ended.</summary>
    public void Cancel() => _tokens.Cancel();

    /// <summary>
    /// Ends a text that its reader has left early because it has what it wants: it counts as stopped at what has been read.
    /// </summary>
    public async Task<TextCompletion> StopAsync()
    {
        await _tokens.DisposeAsync();
        Completion completion = await _tokens.Completion;
        return _completion ??= new TextCompletion(FinishReason.Stop, completion.Usage with { OutputTokens = _outputTokens });
    }

    /// <inheritdoc/>
    /// <exception cref="EngineException">The request failed.</exception>
    public IAsyncEnumerator<TextDelta> GetAsyncEnumerator(CancellationToken cancellationToken = default) =>
        Enumerate(cancellationToken).GetAsyncEnumerator(cancellationToken);

    /// <summary>Cancels the request unless it has ended, and waits until its memory is given back.</summary>
    public ValueTask DisposeAsync() => _tokens.DisposeAsync();

    private async IAsyncEnumerable<TextDelta> Enumerate([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var emitted = new StringBuilder();
        bool isStopped = false;
        await foreach (SampledToken token in _tokens.WithCancellation(cancellationToken))
        {
            _outputTokens++;
            if (_stopTokens.AsSpan().Contains(token.Token))
                break;
            string piece = _decoder.Append(token.Token);
            _attribution?.Add(token, piece);
            isStopped = _stops.Append(piece, emitted);
            if (isStopped)
                break;
            if (Take(emitted) is { } delta)
                yield return delta;
        }

        if (!isStopped)
        {
            isStopped = _stops.Append(_decoder.Flush(), emitted);
            _stops.Flush(emitted);
        }

        if (TakeLast(emitted, isStopped) is { } last)
            yield return last;

        // A stop string ends the text here, while the engine may be a few tokens ahead: they do not count.
        await _tokens.DisposeAsync();
        Completion completion = await _tokens.Completion;
        _completion = new TextCompletion(
            isStopped ? FinishReason.Stop : completion.Reason, completion.Usage with { OutputTokens = _outputTokens }, _stops.Matched);
    }

    private TextDelta? Take(StringBuilder emitted)
    {
        if (_attribution is null)
            return Delta(emitted, []);
        List<TextToken> tokens = [];
        _attribution.Take(emitted.Length, tokens);
        return Delta(emitted, tokens);
    }

    private TextDelta? TakeLast(StringBuilder emitted, bool isStopped)
    {
        if (_attribution is null)
            return Delta(emitted, []);
        List<TextToken> tokens = [];
        _attribution.Take(emitted.Length, tokens);
        if (isStopped)
            _attribution.TakeCut(tokens);
        else
            _attribution.TakeRest(tokens);
        return Delta(emitted, tokens);
    }

    private TextDelta? Delta(StringBuilder emitted, IReadOnlyList<TextToken> tokens)
    {
        if (emitted.Length == 0 && tokens.Count == 0)
            return null;
        var delta = new TextDelta(emitted.ToString(), tokens, _outputTokens);
        emitted.Clear();
        return delta;
    }
}
