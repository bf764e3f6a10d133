namespace Sluice.Text.Jinja;

/// <content>What stands on the left of an assignment.</content>
internal sealed partial class Parser
{
    private Token NameOnlyTarget()
    {
        Token name = Expect(TokenKind.Name, "a name");
        return IsConstantName(name.Text) ? throw Fail($"cannot assign to '{name.Text}'", name.At) : name;
    }

    /// <summary>
    /// A name, or names separated by commas; <c>ns.name</c> too when <paramref name="withNamespace"/>. The target of a loop
    /// ends at <c>in</c>.
    /// </summary>
    private Target AssignTarget(bool withNamespace, bool endsAtIn = false)
    {
        Position at = Current.At;
        List<Target> items = [];
        while (true)
        {
            if (items.Count > 0 && IsTargetEnd(endsAtIn))
            {
                return new TupleTarget(at, items);
            }

            items.Add(SingleTarget(withNamespace));
            if (!Skip(TokenKind.Comma))
            {
                return items.Count == 1 ? items[0] : new TupleTarget(at, items);
            }
        }
    }

    private bool IsTargetEnd(bool endsAtIn) =>
        Current.Kind is TokenKind.VariableEnd or TokenKind.BlockEnd or TokenKind.RightParenthesis || (endsAtIn && Current.IsName("in"));

    private Target SingleTarget(bool withNamespace)
    {
        Token token = Next();
        if (token.Kind == TokenKind.LeftParenthesis)
        {
            Enter(token.At);
            Target inner = AssignTarget(withNamespace: false);
            Leave();
            Expect(TokenKind.RightParenthesis, "')'");
            return inner;
        }

        if (token.Kind != TokenKind.Name || IsConstantName(token.Text))
        {
            throw Fail($"cannot assign to {token.Describe()}", token.At);
        }

        if (withNamespace && Skip(TokenKind.Dot))
        {
            return new NamespaceTarget(token.At, token.Text, Expect(TokenKind.Name, "an attribute").Text);
        }

        return new NameTarget(token.At, token.Text);
    }

    private static bool IsConstantName(string name) => name is "true" or "false" or "none" or "True" or "False" or "None";
}
