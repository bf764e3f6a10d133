using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Sluice.Core;
using Sluice.Engine.Sampling;

namespace Sluice.Engine;

/// <summary>
/// The tokens of one request as the engine makes them. Enumerate it once. It ends after the last token; if the request failed, it
/// throws the error instead, so that a cut answer is never mistaken for a whole one. Leaving the enumeration early, or disposing,
/// cancels the request. A reader that stalls holds up nobody.
/// </summary>
public sealed class GenerationStream : IAsyncEnumerable<SampledToken>, IAsyncDisposable
{
    // Unbounded, yet small: a request has at most its max_tokens events, and the engine must never wait for a reader.
    private readonly Channel<SampledToken> _tokens = Channel.CreateUnbounded<SampledToken>(
        new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });

    private readonly TaskCompletionSource<Completion> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Action _cancel;
    private int _enumerated;

    internal GenerationStream(Action cancel) => _cancel = cancel;

    /// <summary>How the request ended. Never faulted: an error is in <see cref="Completion.Error"/>.</summary>
    public Task<Completion> Completion => _completion.Task;

    /// <summary>Asks the engine to stop this request; it does so before its next step. Harmless when it has ended.</summary>
    public void Cancel()
    {
        if (!_completion.Task.IsCompleted)
            _cancel();
    }

    /// <inheritdoc/>
    /// <exception cref="EngineException">The request failed.</exception>
    public IAsyncEnumerator<SampledToken> GetAsyncEnumerator(CancellationToken cancellationToken = default)
    {
        if (Interlocked.Exchange(ref _enumerated, 1) != 0)
            throw new InvalidOperationException("a generation can be enumerated once");
        return Enumerate(cancellationToken).GetAsyncEnumerator(cancellationToken);
    }

    /// <summary>Cancels the request unless it has ended, and waits until its memory is given back.</summary>
    public async ValueTask DisposeAsync()
    {
        Cancel();
        await _completion.Task;
    }

    /// <summary>Takes a token that is there already.</summary>
    internal bool TryRead(out SampledToken token) => _tokens.Reader.TryRead(out token);

    internal void Publish(SampledToken token) => _tokens.Writer.TryWrite(token);

    /// <summary>The terminal event; a second one is a bug and throws.</summary>
    internal void Finish(Completion completion)
    {
        _completion.SetResult(completion);
        _tokens.Writer.Complete(completion.Error);
    }

    private async IAsyncEnumerable<SampledToken> Enumerate([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        try
        {
            while (await _tokens.Reader.WaitToReadAsync(cancellationToken))
            {
                while (_tokens.Reader.TryRead(out SampledToken token))
                    yield return token;
            }
        }
        finally
        {
            Cancel();
        }
    }
}
