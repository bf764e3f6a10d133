namespace Sluice.Text.Jinja;

/// <content>Expressions.</content>
internal sealed partial class Evaluator
{
    private Value Evaluate(Expression expression, Scope scope)
    {
        switch (expression)
        {
            case ConstantExpression constant:
                c.Spend(1);
                return constant.Value;
            case NameExpression name:
                c.Spend(1 + (scope.Depth >> 3));
                return scope.Find(name.Name) ?? UndefinedValue.Variable(name.Name);
        }

        c.Enter();
        c.Spend(1);
        Value value = EvaluateInner(expression, scope);
        c.Leave();
        return value;
    }

    private Value EvaluateInner(Expression expression, Scope scope)
    {
        switch (expression)
        {
            case AttributeExpression attribute:
                Value owner = Evaluate(attribute.Target, scope);
                c.At = attribute.At;
                return Attributes.Get(c, owner, attribute.Name, attribute.Key);
            case ItemExpression item:
                Value container = Evaluate(item.Target, scope);
                Value key = Evaluate(item.Key, scope);
                c.At = item.At;
                return Attributes.GetItem(c, container, key);
            case CallExpression call:
                return Call(call, scope, caller: null);
            case FilterExpression filter:
                Value filtered = filter.Target is null ? _captured! : Evaluate(filter.Target, scope);
                Arguments arguments = Arguments(filter.Arguments, scope);
                c.At = filter.At;
                return Filters.Apply(c, filter.Name, filtered, arguments);
            case TestExpression test:
                Value tested = Evaluate(test.Target, scope);
                Arguments testArguments = Arguments(test.Arguments, scope);
                c.At = test.At;
                return BoolValue.Of(Tests.Apply(c, test.Name, tested, testArguments));
            case BinaryExpression binary:
                Value left = Evaluate(binary.Left, scope);
                Value right = Evaluate(binary.Right, scope);
                c.At = binary.At;
                return Arithmetic.Apply(c, binary.Operator, left, right);
            case LogicalExpression logical:
                Value first = Evaluate(logical.Left, scope);
                return first.IsTrue == logical.IsAnd ? Evaluate(logical.Right, scope) : first;
            case UnaryExpression unary:
                return Unary(unary, scope);
            case CompareExpression compare:
                return Compare(compare, scope);
            case ConcatExpression concat:
                return Concat(concat, scope);
            case ConditionalExpression conditional:
                return Conditional(conditional, scope);
            case SliceExpression slice:
                return SliceOf(slice, scope);
            case SequenceExpression sequence:
                c.AllocateItems(sequence.Items.Count);
                Value[] items = new Value[sequence.Items.Count];
                for (int i = 0; i < items.Length; i++)
                {
                    items[i] = Evaluate(sequence.Items[i], scope);
                }

                return sequence.IsTuple ? new TupleValue(items) : new ListValue(items);
            case DictExpression dict:
                return Dict(dict, scope);
            default:
                throw c.Fail($"expression {expression.GetType().Name} is not implemented");
        }
    }

    private Value Unary(UnaryExpression unary, Scope scope)
    {
        Value operand = Evaluate(unary.Operand, scope);
        c.At = unary.At;
        return unary.Operator switch
        {
            UnaryOperator.Not => BoolValue.Of(!operand.IsTrue),
            UnaryOperator.Negative => Arithmetic.Negate(c, operand),
            _ => Arithmetic.Plus(c, operand),
        };
    }

    private BoolValue Compare(CompareExpression compare, Scope scope)
    {
        Value left = Evaluate(compare.First, scope);
        foreach ((Comparison @operator, Expression next) in compare.Rest)
        {
            Value right = Evaluate(next, scope);
            c.At = compare.At;
            if (!Ordering.Holds(c, @operator, left, right))
            {
                return BoolValue.False;
            }

            left = right;
        }

        return BoolValue.True;
    }

    private StringValue Concat(ConcatExpression concat, Scope scope)
    {
        TextBuilder text = c.NewText();
        Value[] parts = new Value[concat.Parts.Count];
        for (int i = 0; i < parts.Length; i++)
        {
            parts[i] = Evaluate(concat.Parts[i], scope);
        }

        c.At = concat.At;
        foreach (Value part in parts)
        {
            text.Append(part);
        }

        return text.ToValue();
    }

    private Value Conditional(ConditionalExpression conditional, Scope scope)
    {
        if (Evaluate(conditional.Test, scope).IsTrue)
        {
            return Evaluate(conditional.Then, scope);
        }

        return conditional.Otherwise is not null
            ? Evaluate(conditional.Otherwise, scope)
            : UndefinedValue.Because("the inline if-expression evaluated to false and no else section was defined.");
    }

    private Value SliceOf(SliceExpression slice, Scope scope)
    {
        Value target = Evaluate(slice.Target, scope);
        Value? start = slice.Start is null ? null : Evaluate(slice.Start, scope);
        Value? stop = slice.Stop is null ? null : Evaluate(slice.Stop, scope);
        Value? step = slice.Step is null ? null : Evaluate(slice.Step, scope);
        c.At = slice.At;
        return Slicing.Apply(c, target, start, stop, step);
    }

    private DictValue Dict(DictExpression dict, Scope scope)
    {
        DictValue value = new(c);
        c.AllocateItems(32);
        foreach ((Expression keyExpression, Expression valueExpression) in dict.Entries)
        {
            Value key = Evaluate(keyExpression, scope);
            Value item = Evaluate(valueExpression, scope);
            c.At = dict.At;
            value.Set(c, key, item);
        }

        return value;
    }
}
