using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Sluice.Engine.Text;
using Sluice.Server.Access;
using Sluice.Server.Chat;
using Sluice.Server.Http;
using Sluice.Server.Telemetry;
using Sluice.Text;

namespace Sluice.Server.OpenAI;

/// <summary><c>POST /v1/completions</c>: raw text or token ids, without a chat template.</summary>
internal sealed class CompletionsEndpoint
{
    private readonly ChatService _chat;
    private readonly ServerOptions _options;

    public CompletionsEndpoint(ChatService chat, ServerOptions options)
    {
        _chat = chat;
        _options = options;
    }

    public async Task HandleAsync(HttpContext context)
    {
        CompletionRequest request;
        Tokenizer tokenizer = _chat.Model.Generator.Tokenizer;
        using (JsonDocument body = await JsonBody.ReadAsync(context.Request))
        {
            RequestFields fields = RequestFields.Of(body.RootElement);
            ModelsEndpoint.Require(_chat.Model, fields);
            request = CompletionRequest.Read(fields, _chat.Model.Defaults, tokenizer);
        }

        await using AnswerSet answers = _chat.StartRaw(Texts(request), request.Choices, ClientIdentity.Of(context), context.RequestAborted);
        var shape = new Shape($"cmpl-{Guid.NewGuid():N}", _chat.Clock.GetUtcNow().ToUnixTimeSeconds(), _chat.Model.Id, request, tokenizer);
        if (request.Stream)
            await StreamAsync(context, answers, shape);
        else
            await RespondAsync(context, answers, shape);
    }

    private static IEnumerable<TextRequest> Texts(CompletionRequest request) => request.Prompts.Select(prompt => new TextRequest
    {
        Prompt = prompt,
        MaxTokens = request.MaxTokens,
        Sampling = request.Sampling,
        Stop = request.Stop,
        CacheKey = request.CacheKey,
    });

    private async Task RespondAsync(HttpContext context, AnswerSet answers, Shape shape)
    {
        Answer[] all = await answers.CollectAsync();
        RequestReport.Of(context).Finished(answers);
        CompletionChoice[] choices =
        [
            .. all.Select((answer, index) =>
                shape.Choice(index, shape.Echo(index) + answer.Content, answer.Tokens) with { FinishReason = answer.End.FinishReason }),
        ];
        await context.Response.WriteAsJsonAsync(
            shape.Part(choices) with { Usage = Usage.Of(TokenUsage.OfAll(answers.Answers, shape.Request.Choices)) }, OpenAIJson.Readable.CompletionResponse);
    }

    private async Task StreamAsync(HttpContext context, AnswerSet answers, Shape shape)
    {
        using var events = new SseWriter(context);
        if (shape.Request.Echo)
        {
            for (int index = 0; index < answers.Answers.Count; index++)
                await Write(shape.Part(shape.Choice(index, shape.Echo(index), [])));
        }

        await StreamRelay.RunAsync(
            context,
            _options.KeepAliveInterval,
            events,
            answers.MergeAsync(),
            next => Write(shape.Part(next.Part is ContentPart content
                ? shape.Choice(next.Index, content.Text, content.Tokens)
                : new CompletionChoice(next.Index, "") { FinishReason = answers.Answers[next.Index].End.FinishReason })),
            async () =>
            {
                RequestReport.Of(context).Finished(answers);
                if (shape.Request.IncludeUsage)
                    await Write(shape.Part() with { Usage = Usage.Of(TokenUsage.OfAll(answers.Answers, shape.Request.Choices)) });
                await events.WriteDoneAsync();
            });

        Task Write(CompletionResponse part) => events.WriteAsync(part, OpenAIJson.Readable.CompletionResponse);
    }

    /// <summary>What all events of one response share.</summary>
    private sealed class Shape(string id, long created, string model, CompletionRequest request, Tokenizer tokenizer)
    {
        // Where each answer's text has come to, in code points.
        private readonly int[] _offsets = new int[request.Prompts.Count * request.Choices];

        public CompletionRequest Request => request;

        public CompletionResponse Part(params IReadOnlyList<CompletionChoice> choices) =>
            new(id, created, model, choices) { Usage = request.IncludeUsage ? Usage.Pending : null };

        public CompletionChoice Choice(int index, string text, IReadOnlyList<TextToken> tokens) =>
            new(index, text) { Logprobs = request.Sampling.WantsLogprobs ? LogprobShapes.ForCompletion(tokens, ref _offsets[index]) : null };

        /// <summary>The text of an answer's prompt, where it is to be repeated.</summary>
        public string Echo(int index) => request.Echo ? tokenizer.Decode([.. request.Prompts[index / request.Choices]]) : "";
    }
}
