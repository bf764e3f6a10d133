using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace Sluice.Server.Responses;

/// <summary>Source-generated JSON of everything this API writes. Null is left out unless a property says otherwise.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Response))]
[JsonSerializable(typeof(ResponseEvent))]
[JsonSerializable(typeof(ResponseItemList))]
[JsonSerializable(typeof(DeletedResponse))]
[JsonSerializable(typeof(JsonArray))]
internal sealed partial class ResponsesJson : JsonSerializerContext
{
    /// <summary>As <see cref="Default"/>, but letters of every script stay as they are: a JSON body is never put into HTML as it is.</summary>
    public static ResponsesJson Readable => field ??= new(new JsonSerializerOptions(Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}
