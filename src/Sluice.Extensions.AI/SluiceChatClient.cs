using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;
using Sluice.Constraints.Answers;
using Sluice.Core;
using Sluice.Engine;
using Sluice.Engine.Text;
using Sluice.Text;

namespace Sluice.Extensions.AI;

/// <summary>
/// A model of this process as an <see cref="IChatClient"/>. Many conversations may go on at once: the engine runs them together.
/// The model belongs to whoever loaded it, and is not disposed of with the client.
/// </summary>
/// <remarks>
/// Of <see cref="ChatOptions.AdditionalProperties"/>, <c>min_p</c>, <c>repetition_penalty</c> and <c>chat_template_kwargs</c> (a dictionary of
/// variables for the chat template, such as <c>enable_thinking</c>) are known, and <c>strict</c> (an object of a response format's schema has the
/// properties the schema names and no others).
/// </remarks>
public sealed class SluiceChatClient : IChatClient
{
    private readonly SluiceModel _model;
    private readonly TimeProvider _clock;
    private readonly ChatClientMetadata _metadata;

    /// <summary>Creates a client of <paramref name="model"/>.</summary>
    public SluiceChatClient(SluiceModel model, TimeProvider? clock = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        _clock = clock ?? TimeProvider.System;
        _metadata = new ChatClientMetadata("sluice", defaultModelId: model.Id);
    }

    /// <inheritdoc/>
    /// <exception cref="RequestException">The request is invalid or can never fit.</exception>
    /// <exception cref="NotSupportedException">An option asks for what is not implemented.</exception>
    /// <exception cref="EngineException">The queue is full, or the request failed.</exception>
    public Task<ChatResponse> GetResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken);

    /// <inheritdoc/>
    /// <exception cref="RequestException">The request is invalid or can never fit.</exception>
    /// <exception cref="NotSupportedException">An option asks for what is not implemented.</exception>
    /// <exception cref="EngineException">The queue is full, or the request failed.</exception>
    public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        return AnswerAsync(messages, options, cancellationToken);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        if (serviceKey is not null)
            return null;
        return Array.Find<object>([_metadata, this, _model, _model.Generator, _model.Generator.Engine, _model.Chat], serviceType.IsInstanceOfType);
    }

    /// <summary>Does nothing: the model is not the client's.</summary>
    public void Dispose()
    {
    }

    private async IAsyncEnumerable<ChatResponseUpdate> AnswerAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var request = ChatRequest.Read(messages, options, _model);
        Tokenizer tokenizer = _model.Generator.Tokenizer;
        IReadOnlyList<PromptSegment> prompt = _model.Chat.Render(request.Inputs, _clock, cancellation);
        int[] tokens = tokenizer.Encode(prompt);
        bool startsInReasoning = _model.OutputFormat.StartsInReasoning(prompt);
        var reader = new AnswerReader(_model.OutputFormat, request, startsInReasoning);
        string id = Guid.NewGuid().ToString("N");
        DateTimeOffset created = _clock.GetUtcNow();

        await using TextStream text = _model.Generator.Generate(
            new TextRequest
            {
                Prompt = tokens,
                MaxTokens = request.MaxTokens,
                Sampling = request.Sampling,
                Stop = request.Stop,
                Constraint = AnswerConstraint.Of(request.Demand, _model.OutputFormat, startsInReasoning) is { } spec
                    ? _model.Generator.Constraints.Compile(spec, cancellation)
                    : null,
                Structure = PromptStructure.Find(tokens, tokenizer),
            },
            cancellation);
        await foreach (TextDelta delta in text.WithCancellation(cancellation))
        {
            if (reader.Append(delta.Text) is { Count: > 0 } contents)
                yield return Update(contents);
        }

        // The engine may have met a cancellation, or its own end, before the last token was read here.
        cancellation.ThrowIfCancellationRequested();
        if (text.Completion.Reason == FinishReason.Cancelled)
            throw new EngineException(EngineFailure.ShuttingDown, "the engine stopped before the answer was whole");
        List<AIContent> last = reader.Finish();
        last.Add(new UsageContent(Usage(text.Completion.Usage, reader)));
        ChatResponseUpdate update = Update(last);
        update.FinishReason = text.Completion.Reason == FinishReason.Length ? ChatFinishReason.Length
            : reader.HasCalls ? ChatFinishReason.ToolCalls
            : ChatFinishReason.Stop;
        yield return update;

        ChatResponseUpdate Update(List<AIContent> contents) => new(ChatRole.Assistant, contents)
        {
            ResponseId = id,
            MessageId = id,
            ModelId = _model.Id,
            CreatedAt = created,
        };
    }

    private UsageDetails Usage(GenerationUsage usage, AnswerReader reader) => new()
    {
        InputTokenCount = usage.PromptTokens,
        OutputTokenCount = usage.OutputTokens,
        TotalTokenCount = usage.TotalTokens,
        CachedInputTokenCount = usage.CachedTokens,
        ReasoningTokenCount = reader.CountReasoningTokens(_model.Generator.Tokenizer),
    };
}
