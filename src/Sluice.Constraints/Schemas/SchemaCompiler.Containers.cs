using Sluice.Constraints.Automata;
using Sluice.Constraints.Grammars;
using Sluice.Constraints.Json;

namespace Sluice.Constraints.Schemas;

/// <content>Objects and arrays.</content>
internal sealed partial class SchemaCompiler
{
    /// <summary>
    /// Properties in the order of the schema, then others. One rule says what may come where the properties from the i-th on are still to
    /// come, another the same after a value, where a comma or the end comes first.
    /// </summary>
    private GrammarNode Object(IReadOnlyList<Schema> schemas)
    {
        string path = schemas.Count == 0 ? "any object" : schemas[0].Path;
        var required = schemas.SelectMany(schema => schema.Required).ToHashSet(StringComparer.Ordinal);
        var names = schemas.SelectMany(schema => schema.Properties.Select(property => property.Key)).Concat(schemas.SelectMany(schema => schema.Required))
            .Distinct(StringComparer.Ordinal).ToList();
        Schema[] forOthers = [.. schemas.Select(schema => schema.OtherProperties).OfType<Schema>()];
        GrammarNode end = GrammarNode.Sequence(_json.Whitespace, _json.Literal("}"));

        Rule afterLast = NewRule(path);
        GrammarNode property = forOthers.Any(schema => schema.IsNever)
            ? GrammarNode.Nothing
            : GrammarNode.Sequence(OtherKey(names), _json.Literal(":"), _json.Whitespace, Value(forOthers), new RuleNode(afterLast));
        afterLast.Body = GrammarNode.Choice(GrammarNode.Sequence(_json.Comma, property), end);

        GrammarNode after = new RuleNode(afterLast);
        bool canEnd = true;
        for (int i = names.Count - 1; i >= 0; i--)
        {
            GrammarNode own = GrammarNode.Sequence(Key(names[i]), Value(SchemasOf(names[i], schemas)), after);
            bool isRequired = required.Contains(names[i]);
            canEnd &= !isRequired;
            Rule from = NewRule(path), then = NewRule(path);
            from.Body = isRequired ? own : GrammarNode.Choice(own, property);
            property = new RuleNode(from);
            GrammarNode another = GrammarNode.Sequence(_json.Comma, property);
            then.Body = canEnd ? GrammarNode.Choice(another, end) : another;
            after = new RuleNode(then);
        }

        GrammarNode first = canEnd ? GrammarNode.Choice(property, _json.Literal("}")) : property;
        return GrammarNode.Sequence(_json.Literal("{"), _json.Whitespace, first);
    }

    /// <summary>A declared property's name up to its value.</summary>
    private GrammarNode Key(string name) => GrammarNode.Sequence(_json.Literal(JsonStringEncoding.Quote(name) + ":"), _json.Whitespace);

    /// <summary>Any other property's name.</summary>
    private GrammarNode OtherKey(List<string> names)
    {
        if (names.Count == 0)
            return _json.String(0, int.MaxValue);
        return _json.Terminal($"key {string.Join('\0', names)}", () =>
        {
            Dfa any = Pattern.AnyText.Compile(_budget, "a property name");
            Dfa own = Pattern.Choice([.. names.Select(Pattern.Text)]).Compile(_budget, "the property names");
            return JsonStringEncoding.Quoted(DfaAlgebra.Except(any, own, _budget, "the property names"), _budget, "the property names");
        });
    }

    /// <summary>What must hold for a property: what the schemas that declare it say, and what the others say of those they do not.</summary>
    private static List<Schema> SchemasOf(string name, IReadOnlyList<Schema> schemas)
    {
        var own = new List<Schema>();
        foreach (Schema schema in schemas)
        {
            Schema? says = schema.PropertyNames.Contains(name) ? schema.Properties.Find(property => property.Key == name).Value : schema.OtherProperties;
            if (says is not null)
                own.Add(says);
        }

        return own;
    }

    private GrammarNode Array(IReadOnlyList<Schema> schemas)
    {
        string path = schemas.Count == 0 ? "any list" : schemas[0].Path;
        int min = schemas.Select(schema => schema.MinItems).DefaultIfEmpty().Max();
        int max = schemas.Select(schema => schema.MaxItems ?? int.MaxValue).DefaultIfEmpty(int.MaxValue).Min();
        int listed = schemas.Select(schema => schema.PrefixItems.Count).DefaultIfEmpty().Max();
        Schema[] forRest = [.. schemas.Select(schema => schema.Items).OfType<Schema>()];
        foreach (Schema schema in schemas)
        {
            if (schema.Items is { IsNever: true })
                max = Math.Min(max, schema.PrefixItems.Count);
        }

        if (max < min)
            return GrammarNode.Nothing;

        // From the back: what may come after the first i items.
        GrammarNode after = GrammarNode.Empty;
        if (max > Math.Max(listed, 1))
        {
            int first = Math.Max(listed, 1);
            after = GrammarNode.Sequence(_json.Comma, Value(forRest)).Repeat(Math.Max(0, min - first), max == int.MaxValue ? null : max - first);
        }

        for (int i = Math.Min(Math.Max(listed, 1), max) - 1; i >= 0; i--)
        {
            Rule from = NewRule(path);
            GrammarNode item = Value(i < listed ? SchemasOf(i, schemas) : forRest);
            from.Body = GrammarNode.Sequence(i == 0 ? GrammarNode.Empty : _json.Comma, item, i == 0 ? GrammarNode.Sequence(after, _json.Whitespace) : after);
            after = new RuleNode(from);
            if (i >= min)
                after = after.Optional();
        }

        return GrammarNode.Sequence(_json.Literal("["), _json.Whitespace, after, _json.Literal("]"));
    }

    private static List<Schema> SchemasOf(int item, IReadOnlyList<Schema> schemas)
    {
        var own = new List<Schema>();
        foreach (Schema schema in schemas)
        {
            if (item < schema.PrefixItems.Count)
                own.Add(schema.PrefixItems[item]);
            else if (schema.Items is { } rest)
                own.Add(rest);
        }

        return own;
    }
}
