using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Constraints;
using Sluice.Core;
using Sluice.Server.Http;

namespace Sluice.Server.Chat;

/// <summary>What an answer's content must look like.</summary>
internal enum AnswerForm
{
    Text,
    JsonObject,
    JsonSchema,
}

/// <summary>The form of an answer's content: <c>response_format</c> and its kin.</summary>
/// <param name="Kind">The kind.</param>
/// <param name="Schema">The schema, where there is one.</param>
/// <param name="Parameter">The field that asked for it.</param>
internal sealed record AnswerFormat(AnswerForm Kind, JsonObject? Schema = null, string? Parameter = null)
{
    /// <summary>Whether objects have the properties the schema names and no others.</summary>
    public bool Strict { get; init; }

    public static AnswerFormat Text { get; } = new(AnswerForm.Text);

    /// <summary>Reads <c>{"type": "text" | "json_object" | "json_schema", ...}</c>.</summary>
    /// <param name="format">The object.</param>
    /// <param name="isNested">Whether name and schema lie in an object <c>json_schema</c>, as chat completions have it, or beside the type.</param>
    public static AnswerFormat Read(RequestFields format, bool isNested)
    {
        string path = format.PathOf("type");
        switch (format.RequiredString("type"))
        {
            case "text":
                return Text;
            case "json_object":
                return new AnswerFormat(AnswerForm.JsonObject, null, format.Path);
            case "json_schema":
                RequestFields body = isNested ? format.Object("json_schema") ?? throw format.Missing("json_schema") : format;
                _ = body.String("name");
                if (!body.TryGet("schema", out JsonElement schema))
                    throw body.Missing("schema");
                return OfSchema(schema, body.PathOf("schema")) with { Parameter = format.Path, Strict = body.Boolean("strict") ?? false };
            default:
                throw new RequestException($"{path} must be text, json_object or json_schema", path, "unsupported_value");
        }
    }

    /// <summary>The format of a schema at <paramref name="path"/> of the body.</summary>
    public static AnswerFormat OfSchema(JsonElement schema, string path)
    {
        _ = RequestFields.Of(schema, path);
        return new AnswerFormat(AnswerForm.JsonSchema, (JsonObject)JsonCopy.Of(schema, path)!, path);
    }

    /// <summary>The form as a constraint of the content; null for text.</summary>
    public ConstraintSpec? ToConstraint() => Kind switch
    {
        AnswerForm.JsonObject => new JsonObjectSpec { Field = Parameter! },
        AnswerForm.JsonSchema => new JsonSchemaSpec(Schema!.ToJsonString()) { Field = Parameter!, ClosedObjects = Strict },
        _ => null,
    };
}
