using System.Runtime.CompilerServices;
using Sluice.Core;
using Sluice.Engine;
using Sluice.Engine.Text;

namespace Sluice.Server.Chat;

/// <summary>
/// One answer as it is generated, split into thinking, content and calls. Enumerate it once, then see <see cref="End"/>. An engine
/// that stops before the answer is whole is an error, so that nobody takes it for whole.
/// </summary>
internal sealed class AnswerStream : IAsyncEnumerable<AnswerPart>, IAsyncDisposable
{
    private readonly TextStream _text;
    private AnswerEnd? _end;

    public AnswerStream(TextStream text) => _text = text;

    /// <summary>How the answer ended.</summary>
    public AnswerEnd End => _end ?? throw new InvalidOperationException("the answer has not ended");

    /// <inheritdoc/>
    public IAsyncEnumerator<AnswerPart> GetAsyncEnumerator(CancellationToken cancellationToken = default) =>
        Enumerate(cancellationToken).GetAsyncEnumerator(cancellationToken);

    /// <summary>Asks the engine to stop it. Harmless when it has ended.</summary>
    public void Cancel() => _text.Cancel();

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _text.DisposeAsync();

    private async IAsyncEnumerable<AnswerPart> Enumerate([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (TextDelta delta in _text.WithCancellation(cancellationToken))
            yield return new ContentPart(delta.Text, delta.Tokens);
        TextCompletion completion = _text.Completion;
        if (completion.Reason == FinishReason.Cancelled)
            throw new EngineException(EngineFailure.ShuttingDown, "the server is stopping and has cut this answer short");

        AnswerReason reason = completion.Reason == FinishReason.Length ? AnswerReason.Length : AnswerReason.Stop;
        _end = new AnswerEnd(reason, completion.StopString, TokenUsage.Of(completion.Usage, reasoning: 0), completion);
    }
}
