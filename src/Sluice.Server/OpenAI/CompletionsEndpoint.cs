using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Sluice.Engine.Text;
using Sluice.Server.Access;
using Sluice.Server.Http;

namespace Sluice.Server.OpenAI;

/// <summary><c>POST /v1/completions</c>: raw text or token ids, without a chat template.</summary>
internal sealed class CompletionsEndpoint
{
    private readonly ServedModel _model;
    private readonly ServerOptions _options;
    private readonly TimeProvider _clock;
    private readonly ILogger _log;

    public CompletionsEndpoint(ServedModel model, ServerOptions options, TimeProvider clock, ILogger log)
    {
        _model = model;
        _options = options;
        _clock = clock;
        _log = log;
    }

    public async Task HandleAsync(HttpContext context)
    {
        CompletionRequest request;
        using (JsonDocument body = await JsonBody.ReadAsync(context.Request))
        {
            RequestFields fields = RequestFields.Of(body.RootElement);
            ModelsEndpoint.Require(_model, fields);
            request = CompletionRequest.Read(fields, _model.Defaults, _model.Generator.Tokenizer);
        }

        var client = ClientIdentity.Of(context);
        await using TextStream text = _model.Generator.Generate(
            new TextRequest
            {
                Prompt = request.Prompt,
                MaxTokens = request.MaxTokens,
                Sampling = request.Sampling,
                Stop = request.Stop,
                CacheSalt = client.CacheSalt,
                Client = client.Name,
            },
            context.RequestAborted);
        var relay = new TextRelay(context, text, _log);
        var answer = new Answer($"cmpl-{Guid.NewGuid():N}", _clock.GetUtcNow().ToUnixTimeSeconds(), _model.Id, request);
        if (request.Stream)
            await StreamAsync(context, relay, answer);
        else
            await RespondAsync(context, relay, answer);
    }

    private static async Task RespondAsync(HttpContext context, TextRelay relay, Answer answer)
    {
        var (text, tokens, completion) = await relay.CollectAsync();
        relay.Log(completion);
        CompletionResponse response = answer.Part(answer.Choice(text, tokens) with { FinishReason = TextRelay.FinishReasonOf(completion) });
        await context.Response.WriteAsJsonAsync(response with { Usage = Usage.Of(completion.Usage) }, OpenAIJson.Readable.CompletionResponse);
    }

    private async Task StreamAsync(HttpContext context, TextRelay relay, Answer answer)
    {
        using var events = new SseWriter(context);
        await relay.StreamAsync(
            events,
            _options.KeepAliveInterval,
            delta => Write(answer.Part(answer.Choice(delta.Text, delta.Tokens))),
            async completion =>
            {
                relay.Log(completion);
                await Write(answer.Part(new CompletionChoice(0, "") { FinishReason = TextRelay.FinishReasonOf(completion) }));
                if (answer.Request.IncludeUsage)
                    await Write(answer.Part() with { Usage = Usage.Of(completion.Usage) });
            });

        Task Write(CompletionResponse part) => events.WriteAsync(part, OpenAIJson.Readable.CompletionResponse);
    }

    /// <summary>What all events of one answer share.</summary>
    private sealed class Answer(string id, long created, string model, CompletionRequest request)
    {
        private int _offset;

        public CompletionRequest Request => request;

        public CompletionResponse Part(params IReadOnlyList<CompletionChoice> choices) =>
            new(id, created, model, choices) { Usage = request.IncludeUsage ? Usage.Pending : null };

        public CompletionChoice Choice(string text, IReadOnlyList<TextToken> tokens) =>
            new(0, text) { Logprobs = request.Sampling.WantsLogprobs ? LogprobShapes.ForCompletion(tokens, ref _offset) : null };
    }
}
