using System.Text;
using System.Text.Json.Nodes;

namespace Sluice.Text.Tests.Tokenization;

/// <summary>Damages JSON, in its bytes or in its tree, the same way for the same seed.</summary>
internal sealed class TokenizerMutator(int seed)
{
    // Stands for an escaped surrogate without its partner, which a JSON tree cannot hold.
    private const string HalfPair = "HALF";

    private static readonly string[] Values =
    [
        "null", "true", "false", "0", "-1", "1", "255", "256", "4194303", "4194304", "2147483647", "2147483648", "1e308", "0.5", "\"\"", "\"a\"", "\"ab\"",
        "\"ByteLevel\"", "\"Split\"", "\"Sequence\"", "\"NFC\"", "\"Isolated\"", $"\"{HalfPair}\"", "\"\\ud83d\\ude00\"", "\"\\u0000\"", "\"Ġ\"", "[]", "{}", "[[]]",
        "{\"type\":\"Sequence\"}", "{\"type\":\"NFC\"}", "{\"Regex\":\"a|b\"}", "{\"Regex\":\"(a+)+\\\\p{N}\"}", "{\"String\":\"(\"}", "[\"a\",\"b\"]", "\"a b\"", "\" \"", "\"#version\"",
    ];

    private static readonly string[] PatternParts =
    [
        "(", ")", "(?:", "(?i:", "(?=", "(?!", "(?<=", "(?>", "[", "]", "[^", "|", "*", "+", "?", "++", "*?", "{2}", "{1,3}", "{0,1000}", ".", "^", "$", "\\s", "\\S", "\\p{L}", "\\P{N}",
        "\\p{^M}", "\\d", "\\w", "\\u0041", "\\x41", "\\", "-", "a-z", "a", "'s", "\\r\\n", "é", "😀", "\ufffe", "(a+)+", "&&",
    ];

    private readonly Random _random = new(seed);

    public byte[] Mutate(string json)
    {
        JsonNode root = JsonNode.Parse(json)!;
        for (int edits = _random.Next(4); edits > 0; edits--)
            MutateTree(root);

        byte[] bytes = Encoding.UTF8.GetBytes(root.ToJsonString().Replace(HalfPair, "\\ud83d", StringComparison.Ordinal));
        for (int edits = _random.Next(3) == 0 ? _random.Next(1, 5) : 0; edits > 0 && bytes.Length > 0; edits--)
            bytes = MutateBytes(bytes);
        return bytes;
    }

    // Walks down at random, so that a setting near the root is met as often as all of the vocabulary.
    private void MutateTree(JsonNode root)
    {
        JsonNode parent = root;
        while (true)
        {
            int count = parent is JsonArray list ? list.Count : parent.AsObject().Count;
            if (count == 0)
                return;

            int index = _random.Next(count);
            JsonNode? child = parent is JsonArray array ? array[index] : parent.AsObject().GetAt(index).Value;
            if (child is JsonArray or JsonObject && _random.Next(8) != 0)
            {
                parent = child;
                continue;
            }

            Edit(parent, index, child);
            return;
        }
    }

    private void Edit(JsonNode parent, int index, JsonNode? child)
    {
        JsonNode? value = child is JsonValue text && text.TryGetValue(out string? content) && _random.Next(3) != 0
            ? JsonValue.Create(MutateText(content))
            : JsonNode.Parse(_random.Next(40) == 0 ? Deep() : Values[_random.Next(Values.Length)]);
        int kind = _random.Next(6);
        if (parent is JsonArray array)
        {
            if (kind == 0)
                array.RemoveAt(index);
            else if (kind == 1)
                array.Insert(index, child?.DeepClone());
            else
                array[index] = value;
            return;
        }

        JsonObject members = parent.AsObject();
        string name = members.GetAt(index).Key;
        if (kind == 0)
            members.RemoveAt(index);
        else if (kind == 1)
            members[MutateText(name)] = child?.DeepClone();
        else
            members[name] = value;
    }

    private string MutateText(string text)
    {
        int at = _random.Next(text.Length + 1);
        return _random.Next(4) switch
        {
            0 => text.Remove(at / 2, at - at / 2),
            1 => text.Insert(at, text[..at]),
            2 => text.Insert(at, new string((char)_random.Next(0xD800), _random.Next(1, 20))),
            _ => text.Insert(at, PatternParts[_random.Next(PatternParts.Length)]),
        };
    }

    private string Deep()
    {
        int depth = _random.Next(1, 60);
        return new string('[', depth) + new string(']', depth);
    }

    private byte[] MutateBytes(byte[] bytes)
    {
        int at = _random.Next(bytes.Length);
        int length = Math.Min(_random.Next(1, 40), bytes.Length - at);
        switch (_random.Next(5))
        {
            case 0:
                bytes[at] ^= (byte)(1 << _random.Next(8));
                return bytes;
            case 1:
                return bytes[..at];
            case 2:
                return [.. bytes[..at], .. bytes[(at + length)..]];
            case 3:
                return [.. bytes[..(at + length)], .. bytes[at..]];
            default:
                byte[] noise = new byte[length];
                _random.NextBytes(noise);
                return [.. bytes[..at], .. noise, .. bytes[at..]];
        }
    }
}
