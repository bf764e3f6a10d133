using System.Globalization;
using System.Numerics;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;

namespace Sluice.Text.Jinja;

/// <summary>Turns JSON into values, all of whose text has one origin.</summary>
internal sealed class InputReader(RenderContext c, bool fromTemplate)
{
    /// <summary>Sets a variable for each member of <paramref name="inputs"/>.</summary>
    /// <exception cref="TemplateException">A member is not JSON: duplicate names, invalid text, a number that is none.</exception>
    public void AddTo(Scope scope, JsonObject inputs)
    {
        try
        {
            foreach ((string name, JsonNode? node) in inputs)
            {
                scope.Set(name, Read(node));
            }
        }
        catch (Exception error)
            when (error is ArgumentException or InvalidOperationException or FormatException or JsonException or NotSupportedException)
        {
            throw new TemplateException($"the template's inputs are not valid JSON: {FirstLine(error.Message)}", inner: error);
        }
    }

    private static string FirstLine(string message) =>
        message.AsSpan().IndexOfAny('\r', '\n') is var end and >= 0 ? message[..end] : message;

    private Value Read(JsonNode? node)
    {
        c.Spend(1);
        switch (node)
        {
            case null:
                return NoneValue.Instance;
            case JsonObject members:
                return ReadObject(members);
            case JsonArray elements:
                return ReadArray(elements);
        }

        switch (node.GetValueKind())
        {
            case JsonValueKind.True:
                return BoolValue.True;
            case JsonValueKind.False:
                return BoolValue.False;
            case JsonValueKind.Null:
                return NoneValue.Instance;
            case JsonValueKind.Number:
                return ReadNumber(node.ToJsonString());
            case JsonValueKind.String:
                return Text(ReadString(node));
            default:
                throw new InvalidOperationException($"a value is {node.GetValueKind()}");
        }
    }

    private DictValue ReadObject(JsonObject members)
    {
        c.Enter();
        DictValue dict = new(c);
        c.AllocateItems(32);
        foreach ((string name, JsonNode? member) in members)
        {
            dict.Set(c, Text(name), Read(member));
        }

        c.Leave();
        return dict;
    }

    private ListValue ReadArray(JsonArray elements)
    {
        c.Enter();
        c.AllocateItems(elements.Count);
        Value[] items = new Value[elements.Count];
        for (int i = 0; i < items.Length; i++)
        {
            items[i] = Read(elements[i]);
        }

        c.Leave();
        return new ListValue(items);
    }

    private StringValue Text(string text)
    {
        c.AllocateObject((long)text.Length * sizeof(char));
        return fromTemplate ? StringValue.FromTemplate(text) : StringValue.FromInput(text);
    }

    // A value made in code may hold a date, a char or the like, which are strings in JSON alone.
    private static string ReadString(JsonNode node)
    {
        if (node.AsValue().TryGetValue(out string? text))
        {
            return text;
        }

        using JsonDocument document = JsonDocument.Parse(node.ToJsonString());
        return document.RootElement.GetString()!;
    }

    private NumberValue ReadNumber(string number)
    {
        if (number.AsSpan().IndexOfAny(".eE") >= 0)
        {
            return new FloatValue(double.Parse(number, NumberStyles.Float, CultureInfo.InvariantCulture), !fromTemplate);
        }

        bool isNegative = number.StartsWith('-');
        BigInteger magnitude = PythonNumber.ParseDigits(isNegative ? number.AsSpan(1) : number, 10, c.Limits.IntegerBits)
            ?? throw new TemplateException($"limit IntegerBits: an integer of the inputs has more than {c.Limits.IntegerBits} bits");
        return new IntegerValue(isNegative ? -magnitude : magnitude, !fromTemplate);
    }
}
