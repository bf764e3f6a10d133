using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace Sluice.Server.Anthropic;

/// <summary>Source-generated JSON of everything this API writes. Null is left out unless a property says otherwise.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Message))]
[JsonSerializable(typeof(MessageEvent))]
[JsonSerializable(typeof(TokenCount))]
[JsonSerializable(typeof(AnthropicError))]
[JsonSerializable(typeof(JsonObject))]
internal sealed partial class AnthropicJson : JsonSerializerContext
{
    /// <summary>As <see cref="Default"/>, but letters of every script stay as they are: a JSON body is never put into HTML as it is.</summary>
    public static AnthropicJson Readable => field ??= new(new JsonSerializerOptions(Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}
