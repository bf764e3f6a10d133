using System.Globalization;

namespace Sluice.Text.Jinja;

/// <summary>
/// <c>json.dumps</c> as transformers' <c>tojson</c> calls it: keys in their order, <c>", "</c> and <c>": "</c> between, characters
/// beyond ASCII as they are unless asked otherwise. Each character of a string keeps its origin; the punctuation counts as input.
/// </summary>
internal sealed class JsonText(
    TextBuilder text, bool ensureAscii, StringValue? indent, StringValue itemSeparator, StringValue keySeparator, bool sortKeys)
{
    private readonly RenderContext _c = text.Context;

    public void Append(Value value, int depth = 0)
    {
        _c.Spend(1);
        switch (value)
        {
            case StringValue content:
                AppendString(content);
                break;
            case NoneValue:
                text.Append("null", fromTemplate: false);
                break;
            case BoolValue flag:
                text.Append(flag.Value ? "true" : "false", fromTemplate: false);
                break;
            case FloatValue number:
                text.Append(FloatText.Json(number.Value), !number.FromInput);
                break;
            case IntegerValue:
                text.Append(value);
                break;
            case SequenceValue sequence:
                AppendList(sequence, depth);
                break;
            case DictValue dict:
                AppendDict(dict, depth);
                break;
            default:
                throw _c.Fail($"object of type {value.TypeName} is not JSON serializable");
        }
    }

    private void AppendList(SequenceValue sequence, int depth)
    {
        if (sequence.Items.Length == 0)
        {
            text.Append("[]", fromTemplate: false);
            return;
        }

        text.Append("[", fromTemplate: false);
        for (int i = 0; i < sequence.Items.Length; i++)
        {
            AppendBreak(i, depth + 1);
            _c.Enter();
            Append(sequence.Items[i], depth + 1);
            _c.Leave();
        }

        AppendNewLine(depth);
        text.Append("]", fromTemplate: false);
    }

    private void AppendDict(DictValue dict, int depth)
    {
        if (dict.Count == 0)
        {
            text.Append("{}", fromTemplate: false);
            return;
        }

        text.Append("{", fromTemplate: false);
        int index = 0;
        foreach (Value key in sortKeys ? SortedKeys(dict) : dict.Iterate(_c))
        {
            AppendBreak(index++, depth + 1);
            AppendKey(key);
            text.Append(keySeparator);
            _c.Enter();
            Append(dict.Find(key)!, depth + 1);
            _c.Leave();
        }

        AppendNewLine(depth);
        text.Append("}", fromTemplate: false);
    }

    private Value[] SortedKeys(DictValue dict)
    {
        Value[] keys = _c.ToArray(dict);
        return StableSort.By(_c, keys, keys);
    }

    private void AppendKey(Value key)
    {
        switch (key)
        {
            case StringValue name:
                AppendString(name);
                break;
            case NoneValue or NumberValue:
                text.Append("\"", fromTemplate: false);
                Append(key);
                text.Append("\"", fromTemplate: false);
                break;
            default:
                throw _c.Fail($"keys must be str, int, float, bool or None, not {key.TypeName}");
        }
    }

    private void AppendBreak(int index, int depth)
    {
        if (index > 0)
        {
            text.Append(itemSeparator);
        }

        AppendNewLine(depth);
    }

    private void AppendNewLine(int depth)
    {
        if (indent is null)
        {
            return;
        }

        text.Append("\n", fromTemplate: false);
        for (int i = 0; i < depth; i++)
        {
            text.Append(indent);
        }
    }

    private void AppendString(StringValue value)
    {
        string content = value.Text;
        text.Append("\"", fromTemplate: false);
        int plain = 0;
        for (int at = 0; at < content.Length; at++)
        {
            char c = content[at];
            if (c >= ' ' && c != '"' && c != '\\' && (!ensureAscii || c < '\x7f'))
            {
                continue;
            }

            text.Append(value, plain, at);
            plain = at + 1;
            text.Append(Escape(c), value.Provenance.IsTemplateAt(at));
        }

        text.Append(value, plain, content.Length);
        text.Append("\"", fromTemplate: false);
    }

    private static string Escape(char c) => c switch
    {
        '"' => "\\\"",
        '\\' => @"\\",
        '\n' => @"\n",
        '\r' => @"\r",
        '\t' => @"\t",
        '\b' => @"\b",
        '\f' => @"\f",
        _ => string.Create(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}"),
    };
}
