using System.Numerics;
using System.Runtime.CompilerServices;
using Sluice.Core;

namespace Sluice.Text.Jinja;

/// <summary>One rendering: what it has spent of its limits, where it is in the template, and the clock.</summary>
internal sealed class RenderContext
{
    // How often, in steps, cancellation is looked at.
    private const int CancellationInterval = 4096;

    // Bytes a .NET object of this engine takes beside its characters or items: headers, fields, an array's own header.
    private const int ObjectBytes = 64;

    private readonly CancellationToken _cancellation;
    private long _fuel;
    private long _bytes;
    private long _nextCancellationCheck;
    private int _depth;
    private int _macroDepth;

    public RenderContext(JinjaLimits limits, TimeProvider time, CancellationToken cancellation)
    {
        Limits = limits;
        Time = time;
        _cancellation = cancellation;
        _fuel = limits.Fuel;
        _bytes = limits.AllocatedBytes;
        _nextCancellationCheck = _fuel;
        Equality = new ValueEquality(this);
    }

    public JinjaLimits Limits { get; }

    public TimeProvider Time { get; }

    public ValueEquality Equality { get; }

    /// <summary>The node being evaluated; errors carry its position.</summary>
    public Position At { get; set; }

    public long FuelSpent => Limits.Fuel - _fuel;

    public long BytesAllocated => Limits.AllocatedBytes - _bytes;

    public TemplateException Fail(string message) => new(message, At.Line, At.Column);

    public void Spend(long steps)
    {
        _fuel -= steps;
        if (_fuel < 0)
        {
            throw Fail($"limit Fuel: the template needs more than {Limits.Fuel} steps");
        }

        if (_fuel <= _nextCancellationCheck)
        {
            _nextCancellationCheck = _fuel - CancellationInterval;
            _cancellation.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Pays for looking at <paramref name="length"/> characters.</summary>
    public void SpendOnText(long length) => Spend(length >> 4);

    /// <summary>Pays for arithmetic on a number that may be large.</summary>
    public void SpendOn(BigInteger value)
    {
        long bits = value.GetBitLength();
        if (bits > 64)
        {
            Spend(bits >> 3);
        }
    }

    /// <summary>Pays for the digits of a number that may be large, which take time in the square of their number.</summary>
    public void SpendOnDigits(BigInteger value)
    {
        long words = value.GetBitLength() >> 6;
        Spend(1 + (words * words / 4));
    }

    /// <summary>Pays for exact decimal arithmetic on a float and <paramref name="digits"/> digits of the result.</summary>
    public void SpendOnDecimals(int digits)
    {
        Spend(100);
        Allocate(64L * Math.Max(digits, 0));
    }

    /// <summary>Pays for <paramref name="bytes"/> about to be written.</summary>
    public void Allocate(long bytes)
    {
        _bytes -= bytes;
        if (_bytes < 0)
        {
            throw Fail($"limit AllocatedBytes: the template makes more than {Limits.AllocatedBytes} bytes of text, lists and dicts");
        }

        Spend(bytes >> 6);
    }

    /// <summary>Pays for a new object with <paramref name="bytes"/> of content.</summary>
    public void AllocateObject(long bytes) => Allocate(bytes + ObjectBytes);

    /// <summary>Pays for a new list, tuple or dict of <paramref name="count"/> items.</summary>
    public void AllocateItems(long count) => AllocateObject(count * 8);

    /// <summary>A builder of text that becomes a value.</summary>
    public TextBuilder NewText()
    {
        AllocateObject(2 * ObjectBytes);
        return new TextBuilder(this);
    }

    /// <summary>One level deeper, of expressions, statements or data; <see cref="Leave"/> undoes it. An error ends the rendering.</summary>
    public void Enter()
    {
        // The runtime keeps a reserve that a few levels fit in many times over, so it need not be asked at each.
        if (++_depth > Limits.EvaluationDepth || ((_depth & 7) == 0 && !RuntimeHelpers.TryEnsureSufficientExecutionStack()))
        {
            throw Fail($"limit EvaluationDepth: evaluation or data nests deeper than {Limits.EvaluationDepth}");
        }
    }

    public void Leave() => _depth--;

    public void EnterMacro()
    {
        if (++_macroDepth > Limits.MacroDepth)
        {
            throw Fail($"limit MacroDepth: more than {Limits.MacroDepth} macro calls or recursive loops inside each other");
        }

        AllocateObject(2 * ObjectBytes);
    }

    public void LeaveMacro() => _macroDepth--;

    /// <summary>What <c>str(value)</c> gives.</summary>
    public StringValue ToText(Value value)
    {
        if (value is StringValue text)
        {
            return text;
        }

        TextBuilder builder = NewText();
        builder.Append(value);
        return builder.ToValue();
    }

    /// <summary>The items of anything that can be iterated, each paid for.</summary>
    public IEnumerable<Value> Each(Value value)
    {
        IEnumerable<Value> items = value.Iterate(this) ?? throw Fail($"'{value.TypeName}' object is not iterable");
        return Paid(items);
    }

    /// <summary>The items of anything that can be iterated, as an array of their own.</summary>
    public Value[] ToArray(Value value)
    {
        if (value is SequenceValue sequence)
        {
            AllocateItems(sequence.Items.Length);
            return [.. sequence.Items];
        }

        List<Value> items = [];
        foreach (Value item in Each(value))
        {
            Allocate(8);
            items.Add(item);
        }

        AllocateItems(0);
        return [.. items];
    }

    private IEnumerable<Value> Paid(IEnumerable<Value> items)
    {
        foreach (Value item in items)
        {
            Spend(1);
            yield return item;
        }
    }
}
