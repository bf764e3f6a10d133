using System.Text.Json;
using Sluice.Constraints.Automata;
using Sluice.Constraints.Expressions;
using Sluice.Constraints.Grammars;
using Sluice.Constraints.Json;

namespace Sluice.Constraints.Schemas;

/// <summary>
/// Turns a schema into a grammar. A rule stands for a set of schemas that must hold together and is made once, so that recursion through
/// <c>$ref</c> ends, whatever it is combined with.
/// </summary>
internal sealed partial class SchemaCompiler
{
    private readonly JsonGrammar _json;
    private readonly CompileBudget _budget;
    private readonly Dictionary<string, Rule> _rules = new(StringComparer.Ordinal);
    private readonly Queue<(Rule Rule, IReadOnlyList<Schema> Schemas)> _open = new();

    private SchemaCompiler(JsonGrammar json)
    {
        _json = json;
        _budget = json.Budget;
    }

    /// <summary>The values of a schema.</summary>
    public static GrammarNode Compile(Schema schema, JsonGrammar json) => Compile([schema], json);

    /// <summary>Any object.</summary>
    public static GrammarNode AnyObject(JsonGrammar json) => Compile([new Schema(0, "#") { Types = JsonTypes.Object }], json);

    private static GrammarNode Compile(IReadOnlyList<Schema> schemas, JsonGrammar json)
    {
        var compiler = new SchemaCompiler(json);
        GrammarNode root = compiler.Value(schemas);
        while (compiler._open.TryDequeue(out var next))
            next.Rule.Body = GrammarNode.Choice([.. SchemaCases.Of(next.Schemas, compiler._budget).Select(compiler.Case)]);
        return root;
    }

    /// <summary>A value for which all the schemas hold; any value if there are none.</summary>
    private RuleNode Value(IReadOnlyList<Schema> schemas)
    {
        string key = string.Join(',', schemas.Select(schema => schema.Id).Distinct().Order());
        if (!_rules.TryGetValue(key, out Rule? rule))
        {
            rule = NewRule(schemas.Count == 0 ? "any value" : schemas[0].Path);
            _rules.Add(key, rule);
            _open.Enqueue((rule, schemas));
        }

        return new RuleNode(rule);
    }

    private Rule NewRule(string name)
    {
        _budget.ChargeNodes();
        return new Rule(name);
    }

    private GrammarNode Case(IReadOnlyList<Schema> schemas)
    {
        JsonTypes types = JsonTypes.All;
        foreach (Schema schema in schemas)
            types &= schema.IsNever ? JsonTypes.None : schema.Types;
        if (schemas.Any(schema => schema.Values is not null))
            return Values(schemas, types);

        var alternatives = new List<GrammarNode>();
        if (types.HasFlag(JsonTypes.Object))
            alternatives.Add(Object(schemas));
        if (types.HasFlag(JsonTypes.Array))
            alternatives.Add(Array(schemas));
        if (types.HasFlag(JsonTypes.String))
            alternatives.Add(String(schemas));
        if ((types & JsonTypes.Number) != JsonTypes.None)
            alternatives.Add(Number(schemas, isInteger: !types.HasFlag(JsonTypes.Fraction)));
        if (types.HasFlag(JsonTypes.Boolean))
            alternatives.Add(Constants("true", "false"));
        if (types.HasFlag(JsonTypes.Null))
            alternatives.Add(_json.Literal("null"));
        return GrammarNode.Choice([.. alternatives]);
    }

    private GrammarNode Values(IReadOnlyList<Schema> schemas, JsonTypes types)
    {
        IEnumerable<JsonElement>? values = null;
        foreach (Schema schema in schemas)
        {
            if (schema.HasConditions)
                throw _budget.Unsupported($"{schema.Path}: enum and const are supported with type alone");
            if (schema.Values is { } own)
                values = values?.Where(value => own.Any(other => JsonElement.DeepEquals(value, other))).ToList() ?? own;
        }

        var scalars = new List<string>();
        var others = new List<GrammarNode>();
        foreach (JsonElement value in values!)
        {
            if ((types & JsonValues.TypeOf(value)) == JsonTypes.None)
                continue;
            if (value.ValueKind is JsonValueKind.Object or JsonValueKind.Array)
                others.Add(Constant(value, 0));
            else
                scalars.Add(Scalar(value));
        }

        if (scalars.Count > 0)
            others.Add(Constants([.. scalars]));
        return GrammarNode.Choice([.. others]);
    }

    private GrammarNode Constants(params string[] texts) => _json.Terminal(
        $"values {string.Join('\0', texts)}", () => Pattern.Choice([.. texts.Select(Pattern.Text)]).Compile(_budget, "a list of values"));

    private static string Scalar(JsonElement value) =>
        value.ValueKind == JsonValueKind.String ? JsonStringEncoding.Quote(value.GetString()!) : value.GetRawText();

    private GrammarNode Constant(JsonElement value, int depth)
    {
        if (depth > _budget.Limits.Depth)
            throw _budget.TooDeep();
        _budget.ChargeNodes();
        if (value.ValueKind is not (JsonValueKind.Object or JsonValueKind.Array))
            return _json.Literal(Scalar(value));
        bool isObject = value.ValueKind == JsonValueKind.Object;
        var parts = new List<GrammarNode> { _json.Literal(isObject ? "{" : "["), _json.Whitespace };
        int empty = parts.Count;
        if (isObject)
        {
            foreach (JsonProperty property in value.EnumerateObject())
                Add(GrammarNode.Sequence(Key(property.Name), Constant(property.Value, depth + 1)));
        }
        else
        {
            foreach (JsonElement item in value.EnumerateArray())
                Add(Constant(item, depth + 1));
        }

        if (parts.Count > empty)
            parts.Add(_json.Whitespace);
        parts.Add(_json.Literal(isObject ? "}" : "]"));
        return GrammarNode.Sequence([.. parts]);

        void Add(GrammarNode part)
        {
            if (parts.Count > empty)
                parts.Add(_json.Comma);
            parts.Add(part);
        }
    }

    private GrammarNode String(IReadOnlyList<Schema> schemas)
    {
        int min = schemas.Select(schema => schema.MinLength).DefaultIfEmpty().Max();
        int max = schemas.Select(schema => schema.MaxLength ?? int.MaxValue).DefaultIfEmpty(int.MaxValue).Min();
        string[] patterns = [.. schemas.Select(schema => schema.Pattern).OfType<string>().Distinct(StringComparer.Ordinal)];
        string[] formats = [.. schemas.Select(schema => schema.Format).OfType<string>().Distinct(StringComparer.Ordinal)];
        if ((patterns.Length == 0 && formats.Length == 0) || max < min)
            return _json.String(min, max);

        string what = patterns.Length > 0 ? "pattern" : "format";
        return _json.Terminal($"string {min} {max} {string.Join('\0', patterns)}\0\0{string.Join('\0', formats)}", () =>
        {
            Dfa? content = null;
            foreach (string pattern in patterns)
                And(ExpressionParser.ParseSearch(pattern, _budget).Compile(_budget, "pattern"));
            foreach (string format in formats)
                And(ExpressionParser.ParseWhole(JsonFormats.Expression(format), _budget).Compile(_budget, "format"));
            if (min > 0 || max < int.MaxValue)
            {
                Pattern length = new SetPattern(CodePointSet.All).Repeat(min, max == int.MaxValue ? null : max);
                And(length.Compile(_budget, $"{what} with a length"));
            }

            return JsonStringEncoding.Quoted(content!, _budget, what);

            void And(Dfa other) => content = content is null ? other : DfaAlgebra.Intersect(content, other, _budget, $"{what} with a length or another {what}");
        });
    }

    private GrammarNode Number(IReadOnlyList<Schema> schemas, bool isInteger)
    {
        Bound[] lower = [.. schemas.SelectMany(schema => (Bound?[])[schema.Lower, schema.LowerExclusive]).OfType<Bound>().Distinct()];
        Bound[] upper = [.. schemas.SelectMany(schema => (Bound?[])[schema.Upper, schema.UpperExclusive]).OfType<Bound>().Distinct()];
        DecimalNumber[] divisors = [.. schemas.Select(schema => schema.MultipleOf).OfType<DecimalNumber>().Distinct()];
        if (lower.Length + upper.Length + divisors.Length == 0)
            return GrammarNode.Of(isInteger ? _json.Terminals.Integer : _json.Terminals.Number);
        string key = $"number {isInteger} {string.Join<Bound>(' ', lower)} / {string.Join<Bound>(' ', upper)} / {string.Join<DecimalNumber>(' ', divisors)}";
        return _json.Terminal(key, () =>
        {
            Dfa dfa = isInteger ? _json.Terminals.IntegerSyntax : _json.Terminals.DecimalSyntax;
            foreach (Bound bound in lower)
                dfa = DfaAlgebra.Intersect(dfa, NumberAutomata.Compare(bound.Value, above: true, bound.Inclusive, _budget), _budget, bound.Keyword);
            foreach (Bound bound in upper)
                dfa = DfaAlgebra.Intersect(dfa, NumberAutomata.Compare(bound.Value, above: false, bound.Inclusive, _budget), _budget, bound.Keyword);
            foreach (DecimalNumber divisor in divisors)
            {
                Dfa multiples = NumberAutomata.Multiples(divisor, _budget)
                    ?? throw _budget.Unsupported("multipleOf: expected a divisor of at most 5000 without its decimal point");
                dfa = DfaAlgebra.Intersect(dfa, multiples, _budget, "multipleOf");
            }

            return dfa;
        });
    }
}
