using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Sluice.Server.Access;
using Sluice.Server.Chat;
using Sluice.Server.Http;
using Sluice.Server.OpenAI;
using Sluice.Server.Telemetry;

namespace Sluice.Server.Anthropic;

/// <summary><c>POST /v1/messages</c> and <c>POST /v1/messages/count_tokens</c>.</summary>
internal sealed class MessagesEndpoint
{
    private readonly ChatService _chat;
    private readonly ServerOptions _options;

    public MessagesEndpoint(ChatService chat, ServerOptions options)
    {
        _chat = chat;
        _options = options;
    }

    public async Task HandleAsync(HttpContext context)
    {
        MessagesRequest request = await ReadAsync(context, isCount: false);
        ChatPrompt prompt = _chat.Render(request.Call, context.RequestAborted);
        await using AnswerSet answers = _chat.Start(request.Call, prompt, ClientIdentity.Of(context), context.RequestAborted);
        var message = new Message($"msg_{Guid.NewGuid():N}", _chat.Model.Id, [], new MessageUsage(prompt.Tokens.Count, 0, 0, 0));
        int marked = prompt.Structure?.Breakpoints is [.., int last] ? last : 0;
        if (request.Stream)
            await StreamAsync(context, answers, message, marked);
        else
            await RespondAsync(context, answers, message, marked);
    }

    public async Task CountAsync(HttpContext context)
    {
        MessagesRequest request = await ReadAsync(context, isCount: true);
        int count = _chat.Render(request.Call with { CacheMarks = [] }, context.RequestAborted).Tokens.Count;
        await context.Response.WriteAsJsonAsync(new TokenCount(count), AnthropicJson.Readable.TokenCount);
    }

    private async Task<MessagesRequest> ReadAsync(HttpContext context, bool isCount)
    {
        using JsonDocument body = await JsonBody.ReadAsync(context.Request);
        RequestFields fields = RequestFields.Of(body.RootElement);
        ModelsEndpoint.Require(_chat.Model, fields);
        return MessagesRequest.Read(fields, _chat.Model, isCount);
    }

    private async Task RespondAsync(HttpContext context, AnswerSet answers, Message message, int marked)
    {
        Answer answer = (await answers.CollectAsync())[0];
        RequestReport.Of(context).Finished(answers);
        await context.Response.WriteAsJsonAsync(
            message with
            {
                Content = Block.Of(answer),
                StopReason = Message.StopReasonOf(answer.End),
                StopSequence = answer.End.StopString,
                Usage = MessageUsage.Of(answer.End.Usage, marked),
            },
            AnthropicJson.Readable.Message);
    }

    private async Task StreamAsync(HttpContext context, AnswerSet answers, Message message, int marked)
    {
        using var events = new SseWriter(context);
        var stream = new MessageStream(events, message, context.TraceIdentifier, marked);
        await stream.BeginAsync();
        await StreamRelay.RunAsync(context, _options.KeepAliveInterval, stream, answers.Single, stream.AddAsync, async () =>
        {
            RequestReport.Of(context).Finished(answers);
            await stream.EndAsync(answers.Single.End);
        });
    }
}
