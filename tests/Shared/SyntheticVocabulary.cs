using System.Text;

namespace Sluice.Constraints.Tests;

/// <summary>
/// Vocabularies in the likeness of a large model's: every byte, then what byte-pair merges make of prose, code and JSON in several scripts:
/// words with and without a space before, punctuation in runs, indentation, pieces of characters.
/// </summary>
internal static class SyntheticVocabulary
{
    private static readonly string[] Joints =
    [
        "\"", "\":", "\": ", "\": \"", "\",", "\", \"", "\"}", "\"]", "{\"", "[\"", " {", "},", "}, {", "]}", ".\"", "!\"", ",\"", "\n", "\n\n", " \"", "\\\"", "\\n", "\\",
        "\\u", "://", "()", "();", "):", "=\"", "='", "->", "::", "/*", "*/", "...", "--", "=>", "%", "+", "#", "true", "false", "null", " null", ": null", "<", ">", "</",
        "{}", "[]", "[{", "}]", "}\n", "{\n", ",\n", "0.", "-1", "1e", "10", "123", "2024", "-0", ":\"", "\":{\"", "\":[", "\",\"", "\\\\",
    ];

    /// <summary>Creates one of so many ids, the last three an end token, <c>&lt;tool_call&gt;</c> and <c>&lt;/tool_call&gt;</c>.</summary>
    public static TokenVocabulary Create(int size, int seed)
    {
        var random = new Random(seed);
        var known = new HashSet<string>(StringComparer.Ordinal);
        var tokens = new List<byte[]>();
        for (int value = 0; value < 256; value++)
            tokens.Add([(byte)value]);
        for (int value = 0; value < 128; value++)
            known.Add(((char)value).ToString());
        foreach (string joint in Joints)
            Add(joint);
        for (int indent = 2; indent <= 128; indent = indent < 32 ? indent + 1 : indent * 2)
        {
            Add(new string(' ', indent));
            Add("\n" + new string(' ', indent));
        }

        while (tokens.Count < size - 3)
        {
            string word = Word(random);
            Add(random.Next(100) switch
            {
                < 45 => " " + word,
                < 90 => word,
                < 93 => Joints[random.Next(Joints.Length)] + word,
                < 96 => word + Joints[random.Next(Joints.Length)],
                < 98 => Joints[random.Next(Joints.Length)] + Joints[random.Next(Joints.Length)],
                _ => new string((char)('!' + random.Next(15)), random.Next(2, 9)),
            });
        }

        int end = size - 3;
        while (tokens.Count < size)
            tokens.Add([]);
        return new TokenVocabulary(tokens, new Dictionary<string, int> { ["<|end|>"] = end, ["<tool_call>"] = end + 1, ["</tool_call>"] = end + 2 }, [end]);

        void Add(string text)
        {
            if (tokens.Count < size - 3 && known.Add(text))
                tokens.Add(Bytes(text, random));
        }
    }

    private static byte[] Bytes(string text, Random random)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);

        // Some merges end inside a character.
        return bytes[^1] >= 0x80 && random.Next(10) == 0 ? bytes[..^1] : bytes;
    }

    private static string Word(Random random)
    {
        (int first, int count) = random.Next(100) switch
        {
            < 70 => ('a', 26),
            < 80 => ('A', 26),
            < 85 => (0x430, 32),
            < 95 => (0x4E00, 3000),
            < 97 => (0xAC00, 2000),
            < 98 => (0x1F600, 60),
            _ => (0xE0, 30),
        };
        var word = new StringBuilder();
        int length = first > 0x1000 ? random.Next(1, 4) : 1 + random.Next(2, 9);
        for (int i = 0; i < length; i++)
            word.Append(char.ConvertFromUtf32(first + (int)(count * random.NextDouble() * random.NextDouble())));
        return word.ToString();
    }
}
