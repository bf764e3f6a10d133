using Microsoft.AspNetCore.Http;
using Sluice.Core;
using Sluice.Server.Http;

namespace Sluice.Server.OpenAI;

/// <summary><c>GET /v1/models</c> and <c>GET /v1/models/{id}</c>.</summary>
internal sealed class ModelsEndpoint
{
    private readonly ModelEntry _entry;

    public ModelsEndpoint(ServedModel model, TimeProvider clock) =>
        _entry = new ModelEntry(model.Id, clock.GetUtcNow().ToUnixTimeSeconds(), model.Generator.Engine.MaxSequenceTokens);

    public Task ListAsync(HttpContext context) => context.Response.WriteAsJsonAsync(new ModelList([_entry]), OpenAIJson.Readable.ModelList);

    /// <summary>Ids may have slashes, so this takes all that is left of the path.</summary>
    public Task RetrieveAsync(HttpContext context)
    {
        string? id = context.Request.RouteValues["id"] as string;
        return id == _entry.Id ? context.Response.WriteAsJsonAsync(_entry, OpenAIJson.Readable.ModelEntry) : throw NotFound();
    }

    /// <summary>Checks that a request asks for this model, or for none in particular.</summary>
    public static void Require(ServedModel model, RequestFields fields)
    {
        if (fields.String("model") is { } asked && asked != model.Id)
            throw NotFound();
    }

    private static RequestException NotFound() => new("there is no model of this name here; GET /v1/models lists what there is", "model", "model_not_found");
}
