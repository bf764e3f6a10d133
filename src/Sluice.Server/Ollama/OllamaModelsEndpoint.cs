using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Sluice.Core;
using Sluice.Server.Chat;
using Sluice.Server.Http;

namespace Sluice.Server.Ollama;

/// <summary><c>/api/tags</c>, <c>/api/ps</c>, <c>/api/show</c> and <c>/api/version</c>: what there is.</summary>
internal sealed class OllamaModelsEndpoint
{
    /// <summary>The version whose API this is: programs look at it to see whether thinking and tools are to be had.</summary>
    private const string ApiVersion = "0.12.0";

    private const string DefaultTag = ":latest";

    private readonly ChatService _chat;
    private readonly OllamaModel _model;

    public OllamaModelsEndpoint(ChatService chat)
    {
        _chat = chat;
        _model = new OllamaModel(chat.Model.Id, chat.Clock.GetUtcNow(), new OllamaModelDetails(chat.Model.Family));
    }

    /// <summary>Checks that a request asks for this model: a name without a tag means its latest.</summary>
    public static void Require(ServedModel model, RequestFields fields)
    {
        string asked = fields.String("model") ?? fields.RequiredString("name");
        if (asked != model.Id && asked != model.Id + DefaultTag)
            throw new RequestException("there is no model of this name here; GET /api/tags lists what there is", "model", "model_not_found");
    }

    public Task TagsAsync(HttpContext context) => context.Response.WriteAsJsonAsync(new OllamaModelList([_model]), OllamaJson.Readable.OllamaModelList);

    public Task VersionAsync(HttpContext context) => context.Response.WriteAsJsonAsync(new OllamaVersion(ApiVersion), OllamaJson.Readable.OllamaVersion);

    public async Task ShowAsync(HttpContext context)
    {
        using JsonDocument body = await JsonBody.ReadAsync(context.Request);
        Require(_chat.Model, RequestFields.Of(body.RootElement));
        string family = _model.Details.Family;
        var info = new JsonObject
        {
            ["general.architecture"] = family,
            [$"{family}.context_length"] = _chat.Model.Generator.Engine.MaxSequenceTokens,
        };
        await context.Response.WriteAsJsonAsync(
            new OllamaModelShow(_model.Details, info, _chat.Capabilities) { Template = "" }, OllamaJson.Readable.OllamaModelShow);
    }
}
