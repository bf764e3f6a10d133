using System.Text.Json;
using Sluice.Constraints.Json;

namespace Sluice.Constraints.Schemas;

/// <summary>What schemas ask of values that stand in them.</summary>
internal static class JsonValues
{
    public static JsonTypes TypeOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null => JsonTypes.Null,
        JsonValueKind.True or JsonValueKind.False => JsonTypes.Boolean,
        JsonValueKind.Object => JsonTypes.Object,
        JsonValueKind.Array => JsonTypes.Array,
        JsonValueKind.String => JsonTypes.String,
        _ => DecimalNumber.Parse(value.GetRawText()) is { IsInteger: true } ? JsonTypes.Integer : JsonTypes.Fraction,
    };
}
