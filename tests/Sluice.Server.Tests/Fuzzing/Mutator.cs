using System.Text;

namespace Sluice.Server.Tests.Fuzzing;

/// <summary>Changes valid bodies a little: bytes, and what JSON parsers and number readers are known to trip over.</summary>
internal sealed class Mutator(int seed)
{
    private static readonly byte[][] Oddities =
    [
        .. new[]
        {
            "null", "true", "[]", "{}", "\"\"", "-1", "0", "1e309", "-1e309", "1e-400", "NaN", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
            "2147483648", "0.1", "1.5", "\"\\ud800\"", "\"\\u0000\"", "\"<|im_end|>\"", "\"<|endoftext|>\"", "[[[[[[[[", "]]]]", "{\"a\":{\"a\":{\"a\":", "}}}", "\"a\":", ",,", "\\", "\"", "\u00e9", "🙂", "//", "/*",
            "\"stream\":true,", "\"n\":1000000000,", "\"stop\":[\"\"],", "\"logprobs\":true,", "\"top_logprobs\":20,", "\"temperature\":1e-38,", "\"temperature\":2,", "\"top_p\":1e-30,",
            "\"logit_bias\":{\"5\":-100},", "\"seed\":-1,", "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"$ref\":\"#\"}}}],", "\"response_format\":{\"type\":\"json_schema\"},",
            "\"chat_template_kwargs\":{\"enable_thinking\":true},", "\"messages\":[],", "\"repetition_penalty\":1e-30,", "\"min_p\":1,", "\"presence_penalty\":-2,",
        }.Select(Encoding.UTF8.GetBytes),
        [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0x00], [0xEF, 0xBB, 0xBF],
    ];

    private readonly Random _random = new(seed);

    /// <summary>A mutant of a body.</summary>
    public byte[] Mutate(byte[] body)
    {
        List<byte> bytes = [.. body];
        for (int changes = _random.Next(1, 5); changes > 0; changes--)
            Change(bytes);
        return [.. bytes];
    }

    /// <summary>One in <paramref name="count"/>.</summary>
    public bool OneIn(int count) => _random.Next(count) == 0;

    /// <summary>One of these.</summary>
    public T Pick<T>(IReadOnlyList<T> items) => items[_random.Next(items.Count)];

    private void Change(List<byte> bytes)
    {
        int at = _random.Next(bytes.Count + 1), length = Math.Min(_random.Next(1, 12), bytes.Count - at);
        switch (_random.Next(8))
        {
            case 0 when length > 0:
                bytes[at] ^= (byte)(1 << _random.Next(8));
                break;
            case 1:
                bytes.RemoveRange(at, length);
                break;
            case 2:
                bytes.InsertRange(at, bytes.GetRange(at, length));
                break;
            case 3:
                bytes.RemoveRange(at, bytes.Count - at);
                break;
            case 4 or 5:
                bytes.InsertRange(at, Pick(Oddities));
                break;
            default:
                ReplaceValue(bytes);
                break;
        }
    }

    /// <summary>Puts an oddity in the place of what stands behind a colon, which keeps the rest valid.</summary>
    private void ReplaceValue(List<byte> bytes)
    {
        int[] colons = [.. Enumerable.Range(0, bytes.Count).Where(i => bytes[i] == ':')];
        if (colons.Length == 0)
            return;
        int start = Pick(colons) + 1, end = start;
        while (end < bytes.Count && bytes[end] is not ((byte)',' or (byte)'}' or (byte)']'))
            end++;
        bytes.RemoveRange(start, end - start);
        bytes.InsertRange(start, Pick(Oddities));
    }
}
