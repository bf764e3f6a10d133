using System.Globalization;
using System.Numerics;

namespace Sluice.Text.Jinja;

/// <content>
/// Expressions, loosest binding first: conditional, or, and, not, comparison, sum, concatenation, product, power, unary, and what
/// follows a primary (subscripts, calls, filters, tests).
/// </content>
internal sealed partial class Parser
{
    /// <summary>One expression, or a tuple when commas follow it.</summary>
    private Expression TupleOrExpression(bool withConditional = true, bool endsAtRecursive = false, bool inParentheses = false)
    {
        Position at = Current.At;
        List<Expression> items = [];
        bool isTuple = false;
        while (!IsTupleEnd(endsAtRecursive))
        {
            items.Add(Expression(withConditional));
            if (!Skip(TokenKind.Comma))
            {
                break;
            }

            isTuple = true;
        }

        if (!isTuple && items.Count == 1)
        {
            return items[0];
        }

        if (!isTuple && !inParentheses)
        {
            throw Fail($"expected an expression, got {Current.Describe()}", Current.At);
        }

        return new SequenceExpression(at, items, isTuple: true);
    }

    private bool IsTupleEnd(bool endsAtRecursive) =>
        Current.Kind is TokenKind.VariableEnd or TokenKind.BlockEnd or TokenKind.RightParenthesis ||
        (endsAtRecursive && Current.IsName("recursive"));

    private Expression Expression(bool withConditional = true)
    {
        Enter(Current.At);
        Expression expression = withConditional ? Conditional() : Or();
        Leave();
        return expression;
    }

    private Expression Conditional()
    {
        Position at = Current.At;
        Expression expression = Or();
        while (SkipName("if"))
        {
            Expression test = Or();
            Expression? otherwise = SkipName("else") ? Expression() : null;
            expression = Grown(new ConditionalExpression(at, test, expression, otherwise));
        }

        return expression;
    }

    private Expression Or()
    {
        Expression left = And();
        while (Current.IsName("or"))
        {
            Position at = Next().At;
            left = Grown(new LogicalExpression(at, isAnd: false, left, And()));
        }

        return left;
    }

    private Expression And()
    {
        Expression left = Not();
        while (Current.IsName("and"))
        {
            Position at = Next().At;
            left = Grown(new LogicalExpression(at, isAnd: true, left, Not()));
        }

        return left;
    }

    private Expression Not()
    {
        if (!Current.IsName("not"))
        {
            return Compare();
        }

        Position at = Next().At;
        Enter(at);
        Expression operand = Not();
        Leave();
        return new UnaryExpression(at, UnaryOperator.Not, operand);
    }

    private Expression Compare()
    {
        Position at = Current.At;
        Expression first = Sum();
        List<(Comparison Operator, Expression Right)>? rest = null;
        while (TryComparison(out Comparison comparison))
        {
            (rest ??= []).Add((comparison, Sum()));
        }

        return rest is null ? first : Grown(new CompareExpression(at, first, rest));
    }

    private bool TryComparison(out Comparison comparison)
    {
        (bool found, comparison, int length) = Current.Kind switch
        {
            TokenKind.Equal => (true, Comparison.Equal, 1),
            TokenKind.NotEqual => (true, Comparison.NotEqual, 1),
            TokenKind.Less => (true, Comparison.Less, 1),
            TokenKind.LessOrEqual => (true, Comparison.LessOrEqual, 1),
            TokenKind.Greater => (true, Comparison.Greater, 1),
            TokenKind.GreaterOrEqual => (true, Comparison.GreaterOrEqual, 1),
            TokenKind.Name when Current.IsName("in") => (true, Comparison.In, 1),
            TokenKind.Name when Current.IsName("not") && Following.IsName("in") => (true, Comparison.NotIn, 2),
            _ => (false, default, 0),
        };
        _index += length;
        return found;
    }

    private Expression Sum()
    {
        Expression left = Concat();
        while (Current.Kind is TokenKind.Add or TokenKind.Subtract)
        {
            Token token = Next();
            BinaryOperator @operator = token.Kind == TokenKind.Add ? BinaryOperator.Add : BinaryOperator.Subtract;
            left = Grown(new BinaryExpression(token.At, @operator, left, Concat()));
        }

        return left;
    }

    private Expression Concat()
    {
        Position at = Current.At;
        Expression first = Product();
        if (Current.Kind != TokenKind.Tilde)
        {
            return first;
        }

        List<Expression> parts = [first];
        while (Skip(TokenKind.Tilde))
        {
            parts.Add(Product());
        }

        return Grown(new ConcatExpression(at, parts));
    }

    private Expression Product()
    {
        Expression left = Power();
        while (Current.Kind is TokenKind.Multiply or TokenKind.Divide or TokenKind.FloorDivide or TokenKind.Modulo)
        {
            Token token = Next();
            BinaryOperator @operator = token.Kind switch
            {
                TokenKind.Multiply => BinaryOperator.Multiply,
                TokenKind.Divide => BinaryOperator.Divide,
                TokenKind.FloorDivide => BinaryOperator.FloorDivide,
                _ => BinaryOperator.Modulo,
            };
            left = Grown(new BinaryExpression(token.At, @operator, left, Power()));
        }

        return left;
    }

    // Unlike Python's, Jinja2's power groups to the left.
    private Expression Power()
    {
        Expression left = Unary();
        while (Current.Kind == TokenKind.Power)
        {
            Position at = Next().At;
            left = Grown(new BinaryExpression(at, BinaryOperator.Power, left, Unary()));
        }

        return left;
    }

    private Expression Unary(bool withFilters = true)
    {
        Token token = Current;
        Expression expression;
        if (token.Kind is TokenKind.Subtract or TokenKind.Add)
        {
            Next();
            Enter(token.At);
            UnaryOperator @operator = token.Kind == TokenKind.Subtract ? UnaryOperator.Negative : UnaryOperator.Positive;
            expression = new UnaryExpression(token.At, @operator, Unary(withFilters: false));
            Leave();
        }
        else
        {
            expression = Primary();
        }

        expression = Postfix(expression);
        return withFilters ? FiltersAndTests(expression) : expression;
    }

    private Expression Primary()
    {
        Token token = Next();
        switch (token.Kind)
        {
            case TokenKind.Name:
                return Named(token);
            case TokenKind.String:
                return new ConstantExpression(token.At, StringValue.FromTemplate(AdjacentStrings(token.Text)));
            case TokenKind.Integer:
                return IntegerConstant(token);
            case TokenKind.Float:
                double number = double.Parse(token.Text, NumberStyles.Float, CultureInfo.InvariantCulture);
                return new ConstantExpression(token.At, new FloatValue(number));
            case TokenKind.LeftParenthesis:
                Expression inner = TupleOrExpression(inParentheses: true);
                Expect(TokenKind.RightParenthesis, "')'");
                return inner;
            case TokenKind.LeftBracket:
                return List(token.At);
            case TokenKind.LeftBrace:
                return Dict(token.At);
            default:
                throw Fail($"unexpected {token.Describe()}", token.At);
        }
    }

    private Expression Named(Token token)
    {
        switch (token.Text)
        {
            case "true" or "True":
                return new ConstantExpression(token.At, BoolValue.True);
            case "false" or "False":
                return new ConstantExpression(token.At, BoolValue.False);
            case "none" or "None":
                return new ConstantExpression(token.At, NoneValue.Instance);
        }

        foreach (MacroMentions macro in _macros)
        {
            macro.Caller |= token.Text is "caller";
            macro.PositionalRest |= token.Text is "varargs";
            macro.NamedRest |= token.Text is "kwargs";
        }

        _names.Add(token.Text);
        return new NameExpression(token.At, token.Text);
    }

    private string AdjacentStrings(string first)
    {
        if (Current.Kind != TokenKind.String)
        {
            return first;
        }

        List<string> parts = [first];
        while (Current.Kind == TokenKind.String)
        {
            parts.Add(Next().Text);
        }

        return string.Concat(parts);
    }

    private ConstantExpression IntegerConstant(Token token)
    {
        string text = token.Text;
        int radix = text.Length < 2 ? 10 : text[1] switch { 'x' or 'X' => 16, 'o' or 'O' => 8, 'b' or 'B' => 2, _ => 10 };
        BigInteger value = PythonNumber.ParseDigits(radix == 10 ? text : text.AsSpan(2), radix, _limits.IntegerBits)
            ?? throw Fail($"limit IntegerBits: the integer has more than {_limits.IntegerBits} bits", token.At);
        return new ConstantExpression(token.At, new IntegerValue(value));
    }

    private SequenceExpression List(Position at)
    {
        List<Expression> items = [];
        while (!Skip(TokenKind.RightBracket))
        {
            items.Add(Expression());
            if (Current.Kind != TokenKind.RightBracket)
            {
                Expect(TokenKind.Comma, "',' or ']'");
            }
        }

        return new SequenceExpression(at, items, isTuple: false);
    }

    private DictExpression Dict(Position at)
    {
        List<(Expression Key, Expression Value)> entries = [];
        while (!Skip(TokenKind.RightBrace))
        {
            Expression key = Expression();
            Expect(TokenKind.Colon, "':'");
            entries.Add((key, Expression()));
            if (Current.Kind != TokenKind.RightBrace)
            {
                Expect(TokenKind.Comma, "',' or '}'");
            }
        }

        return new DictExpression(at, entries);
    }
}
