namespace Sluice.Constraints.Schemas;

/// <summary>
/// Takes references, <c>allOf</c>, <c>anyOf</c> and <c>oneOf</c> apart: some schemas that must hold together become a list of cases, each of
/// which is some schemas, without those keywords, that must hold together.
/// </summary>
internal sealed class SchemaCases
{
    private readonly CompileBudget _budget;
    private readonly List<IReadOnlyList<Schema>> _cases = [];

    private SchemaCases(CompileBudget budget) => _budget = budget;

    public static IReadOnlyList<IReadOnlyList<Schema>> Of(IReadOnlyList<Schema> schemas, CompileBudget budget)
    {
        var cases = new SchemaCases(budget);
        var open = new Stack<Origin>(schemas.Reverse().Select(schema => new Origin(schema, null)));
        cases.Expand(open, [], [], 0);
        return cases._cases;
    }

    /// <param name="open">Schemas that must hold and are not looked at yet, the first on top.</param>
    /// <param name="seen">Schemas that were.</param>
    /// <param name="choices">Alternatives of those, one of each list to hold.</param>
    /// <param name="depth">Alternatives chosen so far.</param>
    private void Expand(Stack<Origin> open, List<Schema> seen, List<(IReadOnlyList<Schema> Branches, Origin Of)> choices, int depth)
    {
        if (depth > _budget.Limits.Depth)
            throw _budget.TooDeep();
        while (open.TryPop(out Origin? next))
        {
            _budget.Charge();
            RefuseCycle(next);
            if (seen.Contains(next.Schema))
                continue;
            seen.Add(next.Schema);

            // Pushed last to first, so that properties come in the order written.
            foreach (Schema part in next.Schema.AllOf.Reverse())
                open.Push(new Origin(part, next));
            if (next.Schema.Reference is { } target)
                open.Push(new Origin(target, next));
            foreach (IReadOnlyList<Schema> branches in next.Schema.Alternatives)
                choices.Add((branches, next));
        }

        if (choices.Count == 0)
        {
            _budget.ChargeNodes(1 + seen.Count);
            _cases.Add(seen);
            return;
        }

        (IReadOnlyList<Schema> chosen, Origin of) = choices[0];
        foreach (Schema branch in chosen)
            Expand(new Stack<Origin>([new Origin(branch, of)]), [.. seen], [.. choices.Skip(1)], depth + 1);
    }

    private void RefuseCycle(Origin origin)
    {
        for (Origin? above = origin.By; above is not null; above = above.By)
        {
            _budget.Charge();
            if (ReferenceEquals(above.Schema, origin.Schema))
                throw _budget.Unsupported($"{origin.Schema.Path}: the schema refers to itself without a property or item between");
        }
    }

    /// <param name="Schema">A schema that must hold.</param>
    /// <param name="By">The one that says so.</param>
    private sealed record Origin(Schema Schema, Origin? By);
}
