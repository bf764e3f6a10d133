using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Sluice.Cli;

/// <summary>Source-generated JSON of what commands read and print.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(string))]
[JsonSerializable(typeof(Commands.IdPrompt[]))]
[JsonSerializable(typeof(Commands.GeneratedItem[]))]
internal sealed partial class CliJson : JsonSerializerContext
{
    /// <summary>As <see cref="CliJson.Default"/>, but letters of every script stay as they are.</summary>
    public static CliJson Readable { get; } = new(
        new JsonSerializerOptions { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull });
}
