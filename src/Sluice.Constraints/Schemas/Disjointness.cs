using System.Text.Json;

namespace Sluice.Constraints.Schemas;

/// <summary>
/// Whether no value can match both of two schemas, as far as their types, values, ranges and required properties show it. A grammar can say
/// "one of these", not "exactly one"; where this holds the two are the same.
/// </summary>
internal static class Disjointness
{
    private const int Deepest = 4;

    public static bool IsProvable(Schema a, Schema b, CompileBudget budget, int depth = 0)
    {
        budget.Charge();
        a = Follow(a);
        b = Follow(b);
        if (a.IsNever || b.IsNever)
            return true;
        if (depth > Deepest || ReferenceEquals(a, b))
            return false;
        if (a.Values is not null && b.Values is not null)
            return !a.Values.Any(x => b.Values.Any(y => JsonElement.DeepEquals(x, y)));
        JsonTypes common = TypesOf(a) & TypesOf(b);
        if (common == JsonTypes.None)
            return true;

        // Each part of a conjunction must hold, each branch of an alternative is a case of its own.
        if (a.AllOf.Any(part => IsProvable(part, b, budget, depth + 1)) || b.AllOf.Any(part => IsProvable(a, part, budget, depth + 1)))
            return true;
        if (a.Alternatives.Any(branches => branches.All(branch => IsProvable(branch, b, budget, depth + 1)))
            || b.Alternatives.Any(branches => branches.All(branch => IsProvable(a, branch, budget, depth + 1))))
            return true;

        return common switch
        {
            JsonTypes.Object => ObjectsDiffer(a, b, budget, depth) || ObjectsDiffer(b, a, budget, depth),
            JsonTypes.Number or JsonTypes.Integer or JsonTypes.Fraction => IsBelow(a, b) || IsBelow(b, a),
            JsonTypes.Array => a.MaxItems < b.MinItems || b.MaxItems < a.MinItems,
            JsonTypes.String => a.MaxLength < b.MinLength || b.MaxLength < a.MinLength,
            _ => false,
        };
    }

    private static Schema Follow(Schema schema)
    {
        for (int i = 0; i < 16 && schema.Reference is { } target && schema is { HasConditions: false, Values: null, Types: JsonTypes.All }; i++)
            schema = target;
        return schema;
    }

    private static JsonTypes TypesOf(Schema schema) => schema.Values is null
        ? schema.Types
        : schema.Types & schema.Values.Aggregate(JsonTypes.None, (types, value) => types | JsonValues.TypeOf(value));

    private static bool ObjectsDiffer(Schema a, Schema b, CompileBudget budget, int depth)
    {
        foreach (string name in a.Required)
        {
            if (!b.PropertyNames.Contains(name))
            {
                if (b.OtherProperties is { IsNever: true })
                    return true;
                continue;
            }

            Schema? inA = a.Properties.Find(property => property.Key == name).Value;
            Schema inB = b.Properties.Find(property => property.Key == name).Value;
            if (inA is not null && IsProvable(inA, inB, budget, depth + 1))
                return true;
        }

        return false;
    }

    private static bool IsBelow(Schema a, Schema b)
    {
        foreach (Bound? upper in (Bound?[])[a.Upper, a.UpperExclusive])
        {
            foreach (Bound? lower in (Bound?[])[b.Lower, b.LowerExclusive])
            {
                if (upper is null || lower is null)
                    continue;
                int order = upper.Value.OrderTo(lower.Value);
                if (order < 0 || (order == 0 && !(upper.Inclusive && lower.Inclusive)))
                    return true;
            }
        }

        return false;
    }
}
