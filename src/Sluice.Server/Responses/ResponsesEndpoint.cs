using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Sluice.Core;
using Sluice.Server.Access;
using Sluice.Server.Chat;
using Sluice.Server.Http;
using Sluice.Server.OpenAI;
using Sluice.Server.Telemetry;

namespace Sluice.Server.Responses;

/// <summary><c>POST /v1/responses</c>, and what is kept of them.</summary>
internal sealed class ResponsesEndpoint
{
    private const int MaxListed = 100; // the API's own

    // What is kept has been checked; a call's arguments, once a string, lie as deep in it as they themselves are.
    private static readonly JsonDocumentOptions Kept = new() { MaxDepth = (2 * JsonBody.MaxDepth) + 16 };

    private readonly ChatService _chat;
    private readonly ResponseStore _store;
    private readonly ServerOptions _options;

    public ResponsesEndpoint(ChatService chat, ResponseStore store, ServerOptions options)
    {
        _chat = chat;
        _store = store;
        _options = options;
    }

    public async Task CreateAsync(HttpContext context)
    {
        ResponseRequest request;
        using (JsonDocument body = await JsonBody.ReadAsync(context.Request))
        {
            RequestFields fields = RequestFields.Of(body.RootElement);
            ModelsEndpoint.Require(_chat.Model, fields);
            request = ResponseRequest.Read(fields, _chat.Model, _chat.Clock.GetUtcNow());
        }

        JsonArray conversation = Conversation(context, request);
        await using AnswerSet answers = _chat.Start(request.Call with { Messages = WithInstructions(conversation, request) }, ClientIdentity.Of(context), context.RequestAborted);
        if (request.Stream)
            await StreamAsync(context, request, conversation, answers);
        else
            await RespondAsync(context, request, conversation, answers);
    }

    public async Task RetrieveAsync(HttpContext context)
    {
        context.Response.ContentType = "application/json; charset=utf-8";
        await context.Response.Body.WriteAsync(Find(context, Id(context), "id").Response, context.RequestAborted);
    }

    public Task DeleteAsync(HttpContext context)
    {
        string id = Id(context);
        return _store.Remove(ClientIdentity.Of(context).Name, id)
            ? context.Response.WriteAsJsonAsync(new DeletedResponse(id), ResponsesJson.Readable.DeletedResponse)
            : throw NotFound("id");
    }

    /// <summary>The items in order, newest first unless asked otherwise; <c>after</c> and <c>limit</c> choose among them.</summary>
    public Task ListInputAsync(HttpContext context)
    {
        IQueryCollection query = context.Request.Query;
        IEnumerable<JsonNode?> items = Parse(Find(context, Id(context), "id").Input);
        if ((string?)query["order"] != "asc")
            items = items.Reverse();
        if ((string?)query["after"] is { } after)
            items = items.SkipWhile(i => (string?)i!["id"] != after).Skip(1);
        int limit = int.TryParse(query["limit"], out int asked) ? Math.Clamp(asked, 1, MaxListed) : 20;
        JsonNode[] rest = [.. items.Select(i => i!.DeepClone())];
        var list = new ResponseItemList([.. rest.Take(limit)], rest.Length > limit);
        return context.Response.WriteAsJsonAsync(list, ResponsesJson.Readable.ResponseItemList);
    }

    private async Task RespondAsync(HttpContext context, ResponseRequest request, JsonArray conversation, AnswerSet answers)
    {
        var output = new ResponseOutput(static _ => Task.CompletedTask, request.Call.Sampling.WantsLogprobs);
        await foreach (AnswerPart part in answers.Single)
            await output.AddAsync(part);
        Response response = await EndAsync(context, request, conversation, answers, output);
        await context.Response.WriteAsJsonAsync(response, ResponsesJson.Readable.Response);
    }

    private async Task StreamAsync(HttpContext context, ResponseRequest request, JsonArray conversation, AnswerSet answers)
    {
        using var writer = new SseWriter(context);
        var events = new ResponseEvents(writer, request.Begin);
        var output = new ResponseOutput(events.WriteAsync, request.Call.Sampling.WantsLogprobs);
        await events.BeginAsync();
        await StreamRelay.RunAsync(context, _options.KeepAliveInterval, events, answers.Single, output.AddAsync, async () =>
            await events.EndAsync(await EndAsync(context, request, conversation, answers, output)));
    }

    private async Task<Response> EndAsync(
        HttpContext context, ResponseRequest request, JsonArray conversation, AnswerSet answers, ResponseOutput output)
    {
        AnswerEnd end = answers.Single.End;
        await output.EndAsync(end);
        RequestReport.Of(context).Finished(answers);
        Response response = request.Begin.End(end, output.Items);
        if (request.Store)
        {
            conversation.Add((JsonNode)output.ToMessage());
            _store.Add(
                ClientIdentity.Of(context).Name,
                response.Id,
                new StoredResponse(
                    JsonSerializer.SerializeToUtf8Bytes(response, ResponsesJson.Readable.Response),
                    JsonSerializer.SerializeToUtf8Bytes(request.Input.Items, ResponsesJson.Readable.JsonArray),
                    JsonSerializer.SerializeToUtf8Bytes(conversation, ResponsesJson.Readable.JsonArray)));
        }

        return response;
    }

    /// <summary>What was said before, and the input.</summary>
    private JsonArray Conversation(HttpContext context, ResponseRequest request)
    {
        JsonArray conversation = request.PreviousId is { } previous
            ? Parse(Find(context, previous, "previous_response_id").Messages)
            : [];
        foreach (JsonNode? message in request.Input.Messages)
            conversation.Add(message!.DeepClone());
        return conversation;
    }

    private static JsonArray WithInstructions(JsonArray conversation, ResponseRequest request)
    {
        if (request.Instructions is not { } instructions)
            return conversation;
        return [new JsonObject { ["role"] = "system", ["content"] = instructions }, .. conversation.Select(m => m!.DeepClone())];
    }

    private StoredResponse Find(HttpContext context, string id, string parameter) =>
        _store.Find(ClientIdentity.Of(context).Name, id) ?? throw NotFound(parameter);

    private static JsonArray Parse(byte[] kept) => (JsonArray)JsonNode.Parse(kept, nodeOptions: null, Kept)!;

    private static string Id(HttpContext context) => (string)context.Request.RouteValues["id"]!;

    private static RequestException NotFound(string parameter) =>
        new("there is no response of this id here: it was not stored, has expired, or is another client's", parameter, "response_not_found");
}
