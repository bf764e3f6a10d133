using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Sluice.Core;
using Sluice.Engine.Text;
using Sluice.Server.Access;
using Sluice.Server.Http;
using Sluice.Text;

namespace Sluice.Server.OpenAI;

/// <summary><c>POST /v1/chat/completions</c>.</summary>
internal sealed class ChatCompletionsEndpoint
{
    private readonly ServedModel _model;
    private readonly ServerOptions _options;
    private readonly TimeProvider _clock;
    private readonly ILogger _log;

    public ChatCompletionsEndpoint(ServedModel model, ServerOptions options, TimeProvider clock, ILogger log)
    {
        _model = model;
        _options = options;
        _clock = clock;
        _log = log;
    }

    public async Task HandleAsync(HttpContext context)
    {
        ChatRequest request;
        using (JsonDocument body = await JsonBody.ReadAsync(context.Request))
        {
            RequestFields fields = RequestFields.Of(body.RootElement);
            ModelsEndpoint.Require(_model, fields);
            request = ChatRequest.Read(fields, _model.Defaults);
        }

        ChatTemplate template = _model.Chat ?? throw new RequestException("the model has no chat template; use /v1/completions", "messages", "unsupported_value");
        var client = ClientIdentity.Of(context);
        await using TextStream text = _model.Generator.Generate(
            new TextRequest
            {
                Prompt = _model.Generator.Tokenizer.Encode(template.Render(request.Inputs, _clock, context.RequestAborted)),
                MaxTokens = request.MaxTokens,
                Sampling = request.Sampling,
                Stop = request.Stop,
                CacheSalt = client.CacheSalt,
                Client = client.Name,
            },
            context.RequestAborted);
        var relay = new TextRelay(context, text, _log);
        var answer = new Answer($"chatcmpl-{Guid.NewGuid():N}", _clock.GetUtcNow().ToUnixTimeSeconds(), _model.Id, request);
        if (request.Stream)
            await StreamAsync(context, relay, answer);
        else
            await RespondAsync(context, relay, answer);
    }

    private static async Task RespondAsync(HttpContext context, TextRelay relay, Answer answer)
    {
        var (text, tokens, completion) = await relay.CollectAsync();
        relay.Log(completion);
        var choice = new ChatChoice(0, new ChatMessage("assistant", text), TextRelay.FinishReasonOf(completion)) { Logprobs = answer.Logprobs(tokens) };
        await context.Response.WriteAsJsonAsync(
            new ChatCompletion(answer.Id, answer.Created, answer.Model, [choice], Usage.Of(completion.Usage)), OpenAIJson.Readable.ChatCompletion);
    }

    private async Task StreamAsync(HttpContext context, TextRelay relay, Answer answer)
    {
        using var events = new SseWriter(context);
        await Write(answer.Chunk(new ChatChunkChoice(0, new ChatDelta("assistant", ""))));
        await relay.StreamAsync(
            events,
            _options.KeepAliveInterval,
            delta => Write(answer.Chunk(new ChatChunkChoice(0, new ChatDelta(Content: delta.Text)) { Logprobs = answer.Logprobs(delta.Tokens) })),
            async completion =>
            {
                relay.Log(completion);
                await Write(answer.Chunk(new ChatChunkChoice(0, new ChatDelta()) { FinishReason = TextRelay.FinishReasonOf(completion) }));
                if (answer.Request.IncludeUsage)
                    await Write(answer.Chunk() with { Usage = Usage.Of(completion.Usage) });
            });

        Task Write(ChatCompletionChunk chunk) => events.WriteAsync(chunk, OpenAIJson.Readable.ChatCompletionChunk);
    }

    /// <summary>What all events of one answer share.</summary>
    private sealed record Answer(string Id, long Created, string Model, ChatRequest Request)
    {
        public ChatCompletionChunk Chunk(params IReadOnlyList<ChatChunkChoice> choices) =>
            new(Id, Created, Model, choices) { Usage = Request.IncludeUsage ? Usage.Pending : null };

        public ChatLogprobs? Logprobs(IReadOnlyList<TextToken> tokens) => Request.Sampling.WantsLogprobs ? LogprobShapes.ForChat(tokens) : null;
    }
}
