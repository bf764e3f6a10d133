using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Sluice.Engine.Text;
using Sluice.Server.Access;
using Sluice.Server.Chat;
using Sluice.Server.Http;
using Sluice.Server.Telemetry;

namespace Sluice.Server.OpenAI;

/// <summary><c>POST /v1/chat/completions</c>.</summary>
internal sealed class ChatCompletionsEndpoint
{
    private readonly ChatService _chat;
    private readonly ServerOptions _options;

    public ChatCompletionsEndpoint(ChatService chat, ServerOptions options)
    {
        _chat = chat;
        _options = options;
    }

    public async Task HandleAsync(HttpContext context)
    {
        ChatRequest request;
        using (JsonDocument body = await JsonBody.ReadAsync(context.Request))
        {
            RequestFields fields = RequestFields.Of(body.RootElement);
            ModelsEndpoint.Require(_chat.Model, fields);
            request = ChatRequest.Read(fields, _chat.Model);
        }

        await using AnswerSet answers = _chat.Start(request.Call, ClientIdentity.Of(context), context.RequestAborted);
        var shape = new Shape($"chatcmpl-{Guid.NewGuid():N}", _chat.Clock.GetUtcNow().ToUnixTimeSeconds(), _chat.Model.Id, request);
        if (request.Stream)
            await StreamAsync(context, answers, shape);
        else
            await RespondAsync(context, answers, shape);
    }

    private async Task RespondAsync(HttpContext context, AnswerSet answers, Shape shape)
    {
        Answer[] all = await answers.CollectAsync();
        RequestReport.Of(context).Finished(answers);
        ChatChoice[] choices =
        [
            .. all.Select((answer, index) =>
                new ChatChoice(index, ChatMessage.Of(answer), answer.End.FinishReason) { Logprobs = shape.Logprobs(answer.Tokens) }),
        ];
        await context.Response.WriteAsJsonAsync(
            new ChatCompletion(shape.Id, shape.Created, shape.Model, choices, Usage.Of(TokenUsage.OfAll(answers.Answers, choices.Length))),
            OpenAIJson.Readable.ChatCompletion);
    }

    private async Task StreamAsync(HttpContext context, AnswerSet answers, Shape shape)
    {
        using var events = new SseWriter(context);
        var begun = new bool[answers.Answers.Count];
        await StreamRelay.RunAsync(context, _options.KeepAliveInterval, events, answers.MergeAsync(), WriteAsync, FinishAsync);

        async Task WriteAsync((int Index, AnswerPart? Part) next)
        {
            var (index, part) = next;
            if (!begun[index])
            {
                begun[index] = true;
                events.Put(shape.Chunk(new ChatChunkChoice(index, ChatDelta.Begin(part))), OpenAIJson.Readable.ChatCompletionChunk);
            }

            if (part is null)
                await Write(shape.Chunk(new ChatChunkChoice(index, new ChatDelta()) { FinishReason = answers.Answers[index].End.FinishReason }));
            else
                await Write(shape.Chunk(new ChatChunkChoice(index, ChatDelta.Of(part)) { Logprobs = part is ContentPart content ? shape.Logprobs(content.Tokens) : null }));
        }

        async Task FinishAsync()
        {
            RequestReport.Of(context).Finished(answers);
            if (shape.Request.IncludeUsage)
                await Write(shape.Chunk() with { Usage = Usage.Of(TokenUsage.OfAll(answers.Answers, begun.Length)) });
            await events.WriteDoneAsync();
        }

        Task Write(ChatCompletionChunk chunk) => events.WriteAsync(chunk, OpenAIJson.Readable.ChatCompletionChunk);
    }

    /// <summary>What all events of one answer share.</summary>
    private sealed record Shape(string Id, long Created, string Model, ChatRequest Request)
    {
        public ChatCompletionChunk Chunk(params IReadOnlyList<ChatChunkChoice> choices) =>
            new(Id, Created, Model, choices) { Usage = Request.IncludeUsage ? Usage.Pending : null };

        public ChatLogprobs? Logprobs(IReadOnlyList<TextToken> tokens) => Request.Call.Sampling.WantsLogprobs ? LogprobShapes.ForChat(tokens) : null;
    }
}
