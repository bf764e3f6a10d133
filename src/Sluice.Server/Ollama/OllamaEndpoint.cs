using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Sluice.Engine.Text;
using Sluice.Server.Access;
using Sluice.Server.Chat;
using Sluice.Server.Http;
using Sluice.Server.Telemetry;

namespace Sluice.Server.Ollama;

/// <summary><c>POST /api/chat</c> and <c>POST /api/generate</c>.</summary>
internal sealed class OllamaEndpoint
{
    private readonly ChatService _chat;
    private readonly ServerOptions _options;

    public OllamaEndpoint(ChatService chat, ServerOptions options)
    {
        _chat = chat;
        _options = options;
    }

    public Task ChatAsync(HttpContext context) => HandleAsync(context, OllamaRequest.ReadChat, new ChatLines(_chat));

    public Task GenerateAsync(HttpContext context) => HandleAsync(context, OllamaRequest.ReadGenerate, new GenerateLines(_chat));

    private async Task HandleAsync(HttpContext context, Func<RequestFields, ServedModel, OllamaRequest> read, Lines lines)
    {
        OllamaRequest request;
        using (JsonDocument body = await JsonBody.ReadAsync(context.Request))
        {
            RequestFields fields = RequestFields.Of(body.RootElement);
            OllamaModelsEndpoint.Require(_chat.Model, fields);
            request = read(fields, _chat.Model);
        }

        if (request.Call is not { } call)
        {
            await context.Response.WriteAsJsonAsync(lines.Line("", null, []) with { Done = true, DoneReason = "load" }, OllamaJson.Readable.OllamaAnswer);
            return;
        }

        await using AnswerSet answers = request.Raw is { } raw
            ? _chat.StartRaw([RawText(raw, call)], 1, ClientIdentity.Of(context), context.RequestAborted)
            : _chat.Start(call, ClientIdentity.Of(context), context.RequestAborted);
        if (request.Stream)
            await StreamAsync(context, answers, lines);
        else
            await RespondAsync(context, answers, lines);
    }

    // The caller writes the whole context here, template and all, so special tokens mean what they say.
    private TextRequest RawText(string raw, ChatCall call) => new()
    {
        Prompt = _chat.Model.Generator.Tokenizer.Encode(raw, parseSpecial: true),
        MaxTokens = call.MaxTokens,
        Sampling = call.Sampling,
        Stop = call.Stop,
    };

    private async Task RespondAsync(HttpContext context, AnswerSet answers, Lines lines)
    {
        Answer answer = (await answers.CollectAsync())[0];
        RequestReport.Of(context).Finished(answers);
        OllamaAnswer line = lines.Line(
            answer.Content, answer.Reasoning.Length > 0 ? answer.Reasoning : null, [.. answer.Calls.Select(OllamaCall.Of)]);
        await context.Response.WriteAsJsonAsync(line.End(answer.End), OllamaJson.Readable.OllamaAnswer);
    }

    private async Task StreamAsync(HttpContext context, AnswerSet answers, Lines lines)
    {
        using var writer = new LineWriter(context);
        AnswerBuilder calls = new();
        int written = 0;
        await StreamRelay.RunAsync(context, _options.KeepAliveInterval, writer, answers.Single, AddAsync, async () =>
        {
            await WriteCallsAsync();
            RequestReport.Of(context).Finished(answers);
            await WriteAsync(lines.Line("", null, []).End(answers.Single.End));
        });

        async Task AddAsync(AnswerPart part)
        {
            if (part is not ArgumentsPart)
                await WriteCallsAsync();
            if (part is ContentPart { Text.Length: > 0 } content)
                await WriteAsync(lines.Line(content.Text, null, []));
            else if (part is ReasoningPart reasoning)
                await WriteAsync(lines.Line("", reasoning.Text, []));
            else
                calls.Add(part);
        }

        // A call is written once all of it is here: when something else comes, or nothing more.
        async Task WriteCallsAsync()
        {
            for (; written < calls.Calls.Count; written++)
                await WriteAsync(lines.Line("", null, [OllamaCall.Of(calls.Calls[written], written)]));
        }

        Task WriteAsync(OllamaAnswer line) => writer.WriteAsync(line, OllamaJson.Readable.OllamaAnswer);
    }

    /// <summary>How an address writes its lines.</summary>
    private abstract class Lines(ChatService chat)
    {
        public abstract OllamaAnswer Line(string content, string? thinking, IReadOnlyList<OllamaCall> calls);

        protected OllamaAnswer Begin() => new(chat.Model.Id, chat.Clock.GetUtcNow());
    }

    private sealed class ChatLines(ChatService chat) : Lines(chat)
    {
        public override OllamaAnswer Line(string content, string? thinking, IReadOnlyList<OllamaCall> calls) =>
            Begin() with { Message = new OllamaMessage(content) { Thinking = thinking, ToolCalls = calls.Count > 0 ? calls : null } };
    }

    private sealed class GenerateLines(ChatService chat) : Lines(chat)
    {
        public override OllamaAnswer Line(string content, string? thinking, IReadOnlyList<OllamaCall> calls) =>
            Begin() with { Response = content, Thinking = thinking };
    }
}
