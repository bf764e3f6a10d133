namespace Sluice.Text.Jinja;

internal enum UnaryOperator
{
    Not,
    Negative,
    Positive,
}

internal enum BinaryOperator
{
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Modulo,
    Power,
}

internal enum Comparison
{
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

/// <summary>
/// An expression. <see cref="Children"/> are the expressions directly inside, <see cref="Height"/> is the longest path below.
/// </summary>
internal abstract record Expression(Position At)
{
    public virtual IEnumerable<Expression> Children => [];

    public int Height { get; protected init; } = 1;

    protected static int Above(params ReadOnlySpan<Expression?> children)
    {
        int height = 0;
        foreach (Expression? child in children)
        {
            height = Math.Max(height, child?.Height ?? 0);
        }

        return height + 1;
    }

    protected static int Above(IEnumerable<Expression> children)
    {
        int height = 0;
        foreach (Expression child in children)
        {
            height = Math.Max(height, child.Height);
        }

        return height + 1;
    }
}

internal sealed record ConstantExpression(Position At, Value Value) : Expression(At);

internal sealed record NameExpression(Position At, string Name) : Expression(At);

/// <summary>A list, or a tuple when <see cref="IsTuple"/>.</summary>
internal sealed record SequenceExpression : Expression
{
    public SequenceExpression(Position at, IReadOnlyList<Expression> items, bool isTuple)
        : base(at)
    {
        Items = items;
        IsTuple = isTuple;
        Height = Above(items);
    }

    public IReadOnlyList<Expression> Items { get; }

    public bool IsTuple { get; }

    public override IEnumerable<Expression> Children => Items;
}

internal sealed record DictExpression : Expression
{
    public DictExpression(Position at, IReadOnlyList<(Expression Key, Expression Value)> entries)
        : base(at)
    {
        Entries = entries;
        Height = Above(Children);
    }

    public IReadOnlyList<(Expression Key, Expression Value)> Entries { get; }

    public override IEnumerable<Expression> Children
    {
        get
        {
            foreach ((Expression key, Expression value) in Entries)
            {
                yield return key;
                yield return value;
            }
        }
    }
}

/// <summary><c>target.name</c>: a method or attribute first, then an item.</summary>
internal sealed record AttributeExpression : Expression
{
    public AttributeExpression(Position at, Expression target, string name)
        : base(at)
    {
        Target = target;
        Name = name;
        Key = StringValue.FromTemplate(name);
        Height = Above(target);
    }

    public Expression Target { get; }

    public string Name { get; }

    public StringValue Key { get; }

    public override IEnumerable<Expression> Children => [Target];
}

/// <summary><c>target[key]</c>: an item first, then an attribute.</summary>
internal sealed record ItemExpression : Expression
{
    public ItemExpression(Position at, Expression target, Expression key)
        : base(at)
    {
        Target = target;
        Key = key;
        Height = Above(target, key);
    }

    public Expression Target { get; }

    public Expression Key { get; }

    public override IEnumerable<Expression> Children => [Target, Key];
}

/// <summary><c>target[start:stop:step]</c>, each part optional.</summary>
internal sealed record SliceExpression : Expression
{
    public SliceExpression(Position at, Expression target, Expression? start, Expression? stop, Expression? step)
        : base(at)
    {
        Target = target;
        Start = start;
        Stop = stop;
        Step = step;
        Height = Above(target, start, stop, step);
    }

    public Expression Target { get; }

    public Expression? Start { get; }

    public Expression? Stop { get; }

    public Expression? Step { get; }

    public override IEnumerable<Expression> Children => ((Expression?[])[Target, Start, Stop, Step]).OfType<Expression>();
}

/// <summary>What stands between the parentheses of a call: arguments, <c>name=value</c> pairs, <c>*list</c>, <c>**dict</c>.</summary>
internal sealed record CallArguments(
    IReadOnlyList<Expression> Positional,
    IReadOnlyList<(StringValue Name, Expression Value)> Named,
    Expression? Rest = null,
    Expression? NamedRest = null)
{
    public static CallArguments None { get; } = new([], []);

    public IEnumerable<Expression> Children
    {
        get
        {
            foreach (Expression argument in Positional)
            {
                yield return argument;
            }

            foreach ((StringValue _, Expression value) in Named)
            {
                yield return value;
            }

            if (Rest is not null)
            {
                yield return Rest;
            }

            if (NamedRest is not null)
            {
                yield return NamedRest;
            }
        }
    }
}

internal sealed record CallExpression : Expression
{
    public CallExpression(Position at, Expression callee, CallArguments arguments)
        : base(at)
    {
        Callee = callee;
        Arguments = arguments;
        Height = Above(Children);
    }

    public Expression Callee { get; }

    public CallArguments Arguments { get; }

    public override IEnumerable<Expression> Children => Arguments.Children.Prepend(Callee);
}

/// <summary><c>target | name(arguments)</c>; without a target, the text a block has captured is filtered.</summary>
internal sealed record FilterExpression : Expression
{
    public FilterExpression(Position at, Expression? target, string name, CallArguments arguments)
        : base(at)
    {
        Target = target;
        Name = name;
        Arguments = arguments;
        Height = Above(Children);
    }

    public Expression? Target { get; }

    public string Name { get; }

    public CallArguments Arguments { get; }

    public override IEnumerable<Expression> Children => Target is null ? Arguments.Children : Arguments.Children.Prepend(Target);
}

/// <summary><c>target is name(arguments)</c>.</summary>
internal sealed record TestExpression : Expression
{
    public TestExpression(Position at, Expression target, string name, CallArguments arguments)
        : base(at)
    {
        Target = target;
        Name = name;
        Arguments = arguments;
        Height = Above(Children);
    }

    public Expression Target { get; }

    public string Name { get; }

    public CallArguments Arguments { get; }

    public override IEnumerable<Expression> Children => Arguments.Children.Prepend(Target);
}

internal sealed record UnaryExpression : Expression
{
    public UnaryExpression(Position at, UnaryOperator @operator, Expression operand)
        : base(at)
    {
        Operator = @operator;
        Operand = operand;
        Height = Above(operand);
    }

    public UnaryOperator Operator { get; }

    public Expression Operand { get; }

    public override IEnumerable<Expression> Children => [Operand];
}

internal sealed record BinaryExpression : Expression
{
    public BinaryExpression(Position at, BinaryOperator @operator, Expression left, Expression right)
        : base(at)
    {
        Operator = @operator;
        Left = left;
        Right = right;
        Height = Above(left, right);
    }

    public BinaryOperator Operator { get; }

    public Expression Left { get; }

    public Expression Right { get; }

    public override IEnumerable<Expression> Children => [Left, Right];
}

/// <summary><c>and</c> when <see cref="IsAnd"/>, else <c>or</c>; the value is one of the operands, as in Python.</summary>
internal sealed record LogicalExpression : Expression
{
    public LogicalExpression(Position at, bool isAnd, Expression left, Expression right)
        : base(at)
    {
        IsAnd = isAnd;
        Left = left;
        Right = right;
        Height = Above(left, right);
    }

    public bool IsAnd { get; }

    public Expression Left { get; }

    public Expression Right { get; }

    public override IEnumerable<Expression> Children => [Left, Right];
}

/// <summary>A chain such as <c>a &lt; b &lt;= c</c>.</summary>
internal sealed record CompareExpression : Expression
{
    public CompareExpression(Position at, Expression first, IReadOnlyList<(Comparison Operator, Expression Right)> rest)
        : base(at)
    {
        First = first;
        Rest = rest;
        Height = Above(Children);
    }

    public Expression First { get; }

    public IReadOnlyList<(Comparison Operator, Expression Right)> Rest { get; }

    public override IEnumerable<Expression> Children => Rest.Select(static r => r.Right).Prepend(First);
}

/// <summary><c>a ~ b ~ c</c>: the operands' text, joined.</summary>
internal sealed record ConcatExpression : Expression
{
    public ConcatExpression(Position at, IReadOnlyList<Expression> parts)
        : base(at)
    {
        Parts = parts;
        Height = Above(parts);
    }

    public IReadOnlyList<Expression> Parts { get; }

    public override IEnumerable<Expression> Children => Parts;
}

/// <summary><c>then if test else otherwise</c>; undefined without an <c>else</c>.</summary>
internal sealed record ConditionalExpression : Expression
{
    public ConditionalExpression(Position at, Expression test, Expression then, Expression? otherwise)
        : base(at)
    {
        Test = test;
        Then = then;
        Otherwise = otherwise;
        Height = Above(test, then, otherwise);
    }

    public Expression Test { get; }

    public Expression Then { get; }

    public Expression? Otherwise { get; }

    public override IEnumerable<Expression> Children => Otherwise is null ? [Test, Then] : [Test, Then, Otherwise];
}
