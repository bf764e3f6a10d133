namespace Sluice.Text.Jinja;

/// <content>What follows a primary expression: attributes, subscripts, calls, filters and tests.</content>
internal sealed partial class Parser
{
    private Expression Postfix(Expression expression)
    {
        while (true)
        {
            switch (Current.Kind)
            {
                case TokenKind.Dot:
                    expression = Grown(Attribute(expression));
                    break;
                case TokenKind.LeftBracket:
                    expression = Grown(Subscript(expression));
                    break;
                case TokenKind.LeftParenthesis:
                    expression = Grown(Call(expression));
                    break;
                default:
                    return expression;
            }
        }
    }

    private Expression Attribute(Expression target)
    {
        Next();
        Token name = Next();
        return name.Kind switch
        {
            TokenKind.Name => new AttributeExpression(name.At, target, name.Text),
            TokenKind.Integer => new ItemExpression(name.At, target, IntegerConstant(name)),
            _ => throw Fail($"expected a name or number after '.', got {name.Describe()}", name.At),
        };
    }

    private Expression Subscript(Expression target)
    {
        Position at = Next().At;
        List<Expression> keys = [];
        while (keys.Count > 0 || Current.Kind != TokenKind.RightBracket)
        {
            Expression? start = Current.Kind == TokenKind.Colon ? null : Expression();
            if (Skip(TokenKind.Colon))
            {
                return keys.Count == 0 ? Slice(at, target, start) : throw Fail("a slice inside a tuple subscript is not supported", at);
            }

            keys.Add(start!);
            if (!Skip(TokenKind.Comma))
            {
                break;
            }
        }

        Expect(TokenKind.RightBracket, "']'");
        return keys.Count == 1
            ? new ItemExpression(at, target, keys[0])
            : new ItemExpression(at, target, new SequenceExpression(at, keys, isTuple: true));
    }

    private SliceExpression Slice(Position at, Expression target, Expression? start)
    {
        Expression? stop = Current.Kind is TokenKind.Colon or TokenKind.RightBracket ? null : Expression();
        Expression? step = Skip(TokenKind.Colon) && Current.Kind != TokenKind.RightBracket ? Expression() : null;
        Expect(TokenKind.RightBracket, "']'");
        return new SliceExpression(at, target, start, stop, step);
    }

    private CallExpression Call(Expression callee)
    {
        Position at = Current.At;
        return new CallExpression(at, callee, Arguments());
    }

    private CallArguments Arguments()
    {
        Position at = Next().At;
        List<Expression> positional = [];
        List<(StringValue Name, Expression Value)> named = [];
        HashSet<string> names = new(StringComparer.Ordinal);
        Expression? rest = null;
        Expression? namedRest = null;
        while (!Skip(TokenKind.RightParenthesis))
        {
            bool inOrder;
            if (Skip(TokenKind.Multiply))
            {
                inOrder = rest is null && namedRest is null;
                rest = Expression();
            }
            else if (Skip(TokenKind.Power))
            {
                inOrder = namedRest is null;
                namedRest = Expression();
            }
            else if (Current.Kind == TokenKind.Name && Following.Kind == TokenKind.Assign)
            {
                inOrder = namedRest is null;
                Token name = Next();
                Next();
                named.Add((StringValue.FromTemplate(name.Text), Expression()));
                if (!names.Add(name.Text))
                {
                    throw Fail($"keyword argument repeated: {name.Text}", name.At);
                }
            }
            else
            {
                inOrder = rest is null && namedRest is null && named.Count == 0;
                positional.Add(Expression());
            }

            if (!inOrder)
            {
                throw Fail("arguments must come as positional, named, *list, **dict", at);
            }

            if (Current.Kind != TokenKind.RightParenthesis)
            {
                Expect(TokenKind.Comma, "',' or ')'");
            }
        }

        return new CallArguments(positional, named, rest, namedRest);
    }

    private Expression FiltersAndTests(Expression expression)
    {
        while (true)
        {
            if (Current.Kind == TokenKind.Pipe)
            {
                expression = Filters(expression);
            }
            else if (Current.IsName("is"))
            {
                expression = Grown(Test(expression));
            }
            else if (Current.Kind == TokenKind.LeftParenthesis)
            {
                expression = Grown(Call(expression));
            }
            else
            {
                return expression;
            }
        }
    }

    private FilterExpression Filters(Expression? target)
    {
        FilterExpression? filter = target as FilterExpression;
        while (Skip(TokenKind.Pipe))
        {
            filter = Filter(target);
            target = filter;
        }

        return filter!;
    }

    private FilterExpression Filter(Expression? target)
    {
        Token token = Expect(TokenKind.Name, "a filter's name");
        string name = DottedName(token);
        CallArguments arguments = Current.Kind == TokenKind.LeftParenthesis ? Arguments() : CallArguments.None;
        return Grown(new FilterExpression(token.At, target, name, arguments));
    }

    private string DottedName(Token token)
    {
        string name = token.Text;
        while (Skip(TokenKind.Dot))
        {
            name += "." + Expect(TokenKind.Name, "a name").Text;
        }

        return name;
    }

    private Expression Test(Expression target)
    {
        Next();
        bool isNegated = SkipName("not");
        Token token = Expect(TokenKind.Name, "a test's name");
        string name = DottedName(token);
        CallArguments arguments = CallArguments.None;
        if (Current.Kind == TokenKind.LeftParenthesis)
        {
            arguments = Arguments();
        }
        else if (StartsTestArgument())
        {
            if (Current.IsName("is"))
            {
                throw Fail("tests cannot be chained with 'is'", Current.At);
            }

            arguments = new CallArguments([Postfix(Primary())], []);
        }

        TestExpression test = new(token.At, target, name, arguments);
        return isNegated ? new UnaryExpression(token.At, UnaryOperator.Not, test) : test;
    }

    private bool StartsTestArgument() =>
        Current.Kind is TokenKind.String or TokenKind.Integer or TokenKind.Float or TokenKind.LeftBracket or TokenKind.LeftBrace ||
        (Current.Kind == TokenKind.Name && Current.Text is not ("else" or "or" or "and"));
}
