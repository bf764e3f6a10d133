using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace Sluice.Server.Chat;

/// <summary>The answers to one request, generated side by side. Disposing cancels those that have not ended.</summary>
internal sealed class AnswerSet : IAsyncDisposable
{
    private readonly AnswerStream[] _answers;

    public AnswerSet(IEnumerable<AnswerStream> answers) => _answers = [.. answers];

    public IReadOnlyList<AnswerStream> Answers => _answers;

    /// <summary>The first answer: the only one where the API knows no more.</summary>
    public AnswerStream Single => _answers[0];

    /// <summary>Waits for all of every answer.</summary>
    public async Task<Answer[]> CollectAsync()
    {
        AnswerBuilder[] builders = [.. _answers.Select(_ => new AnswerBuilder())];
        await foreach ((int index, AnswerPart? part) in MergeAsync())
        {
            if (part is not null)
                builders[index].Add(part);
        }

        return [.. builders.Zip(_answers, (builder, answer) => builder.Build(answer.End))];
    }

    /// <summary>The parts of all answers as they come, each with its answer's index; after an answer's last part, null.</summary>
    public IAsyncEnumerable<(int Index, AnswerPart? Part)> MergeAsync() => _answers.Length == 1 ? OneAsync() : SeveralAsync(default);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (AnswerStream answer in _answers)
            answer.Cancel();
        foreach (AnswerStream answer in _answers)
            await answer.DisposeAsync();
    }

    private async IAsyncEnumerable<(int Index, AnswerPart? Part)> OneAsync()
    {
        await foreach (AnswerPart part in _answers[0])
            yield return (0, part);
        yield return (0, null);
    }

    private async IAsyncEnumerable<(int Index, AnswerPart? Part)> SeveralAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // Unbounded, yet no larger than what the engine has put down already.
        var parts = Channel.CreateUnbounded<(int, AnswerPart?)>(new UnboundedChannelOptions { SingleReader = true });
        using var left = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task pumps = Task.WhenAll(_answers.Select((answer, index) => PumpAsync(answer, index, parts.Writer, left.Token)));
        try
        {
            _ = pumps.ContinueWith(_ => parts.Writer.TryComplete(), TaskScheduler.Default);
            await foreach ((int, AnswerPart?) part in parts.Reader.ReadAllAsync(cancellationToken))
                yield return part;
        }
        finally
        {
            await left.CancelAsync();
            await pumps;
        }
    }

    // The first failure ends the whole: an answer that is missing must not look like one that is short.
    private static async Task PumpAsync(AnswerStream answer, int index, ChannelWriter<(int, AnswerPart?)> parts, CancellationToken left)
    {
        try
        {
            await foreach (AnswerPart part in answer.WithCancellation(left))
                parts.TryWrite((index, part));
            parts.TryWrite((index, null));
        }
        catch (Exception e)
        {
            parts.TryComplete(e);
        }
    }
}
