using System.Text;

namespace Sluice.Checkpoints.Tests.Fuzzing;

/// <summary>
/// Breaks JSON documents in ways a parser may trip over: some keep it JSON and change what it says (another number, another
/// string, a member twice, a member less), some do not (bytes flipped, cut, inserted). One number decides everything, so that a failure
/// can be made again.
/// </summary>
internal sealed class Mutator
{
    private static readonly byte[][] Numbers = Utf8(
        "0", "1", "2", "3", "4", "7", "8", "16", "32", "64", "96", "128", "256", "65535", "65536", "2147483647", "2147483648", "4294967296",
        "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "-0", "-1", "-9223372036854775808", "1.0",
        "1e0", "1E+2", "1e400", "0.5", "99999999999999999999999999999999");

    private static readonly byte[][] Strings = Utf8(
        "\"\"", "\"a\"", "\"b\"", "\"F32\"", "\"U8\"", "\"F4\"", "\"BF16\"", "\"F8_E4M3\"", "\"F8_E5M2\"", "\"I64\"", "\"dtype\"", "\"shape\"",
        "\"data_offsets\"", "\"__metadata__\"", "\"weight_map\"", "\"\\ud800\"", "\"\\u0000\"", "\"\\u0061\"", "\"\\n\"", "\"../x\"",
        "\"x.safetensors\"", "\"..\\\\x.safetensors\"", "\"/x.safetensors\"", "\"default\"", "\"yarn\"", "\"fp8\"", "\"linear_attention\"",
        "\"full_attention\"", "\"qwen3\"", "\"qwen3_5_moe\"", "\"rope_theta\"", "\"num_experts\"");

    private static readonly byte[][] Fragments =
    [
        .. Utf8(
            "null", "true", "false", "[", "]", "{", "}", ",", ":", "[]", "{}", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "]]]]]]]]]]", "{\"a\":",
            "[0,0]", "[0]", "{\"a\":1,\"a\":2}", " ", "\n", "\t", "\uFEFF", "/**/", "NaN", "Infinity", "'a'", "\\", "\"", "00"),
        [0x00], [0xFF], [0xC3], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],
    ];

    private readonly byte[] _seed;
    private readonly Piece[] _tokens;
    private readonly Piece[] _members;
    private byte[] _from;
    private byte[] _to;
    private int _length;

    internal Mutator(byte[] seed)
    {
        _seed = seed;
        (_tokens, _members) = Dissect(seed);
        _from = new byte[(seed.Length * 2) + 4096];
        _to = new byte[_from.Length];
    }

    /// <summary>Makes variant <paramref name="number"/> of the seed; valid until the next call.</summary>
    internal ReadOnlySpan<byte> Mutate(ulong number)
    {
        var random = new SplitMix(number);
        _seed.CopyTo(_from, 0);
        _length = _seed.Length;

        // Places are those of the seed, so only the first change knows what it hits; the others fall where they may.
        ChangeMeaning(ref random);
        for (uint more = random.Below(8); more > 4; more--)
            ChangeBytes(ref random);
        return _from.AsSpan(0, _length);
    }

    private void ChangeMeaning(ref SplitMix random)
    {
        Piece token = _tokens[random.Below((uint)_tokens.Length)];
        Piece member = _members.Length > 0 ? _members[random.Below((uint)_members.Length)] : token;
        switch (random.Below(10))
        {
            case 0:
                Splice(member.Start, member.Length + (member.Start + member.Length < _length && _from[member.Start + member.Length] == ',' ? 1 : 0), []);
                break;
            case 1:
                Splice(member.Start, 0, [.. _from.AsSpan(member.Start, member.Length), (byte)',']);
                break;
            case 2:
                Piece other = _members.Length > 0 ? _members[random.Below((uint)_members.Length)] : token;
                Splice(member.Start, member.Length, _from.AsSpan(other.Start, other.Length));
                break;
            case 3:
                Splice(token.Start, token.Length, Pick(Fragments, ref random));
                break;
            case 4:
                ChangeBytes(ref random);
                break;
            default:
                Splice(token.Start, token.Length, Pick(Alike(_from[token.Start]), ref random));
                break;
        }
    }

    private void ChangeBytes(ref SplitMix random)
    {
        int start = (int)random.Below((uint)_length + 1);
        int length = (int)random.Below((uint)Math.Min(24, _length - start) + 1);
        switch (random.Below(5))
        {
            case 0:
                Splice(start, length, []);
                break;
            case 1:
                Splice(start, 0, _from.AsSpan(start, length));
                break;
            case 2:
                Splice(start, 0, Pick(Fragments, ref random));
                break;
            case 3 when random.Below(4) == 0:
                _length = start;
                break;
            default:
                if (start < _length)
                    _from[start] ^= (byte)(1 << (int)random.Below(8));
                break;
        }
    }

    private static byte[][] Alike(byte first) => first switch
    {
        (byte)'"' => Strings,
        (byte)'-' or (>= (byte)'0' and <= (byte)'9') => Numbers,
        _ => Fragments,
    };

    private static byte[] Pick(byte[][] from, ref SplitMix random) => from[random.Below((uint)from.Length)];

    private void Splice(int start, int remove, ReadOnlySpan<byte> insert)
    {
        int length = _length - remove + insert.Length;
        if (length > _to.Length)
            return;
        _from.AsSpan(0, start).CopyTo(_to);
        insert.CopyTo(_to.AsSpan(start));
        _from.AsSpan(start + remove, _length - start - remove).CopyTo(_to.AsSpan(start + insert.Length));
        (_from, _to) = (_to, _from);
        _length = length;
    }

    /// <summary>Finds strings, numbers, words and marks; and every member of an object, every element of an array.</summary>
    private static (Piece[] Tokens, Piece[] Members) Dissect(byte[] json)
    {
        var tokens = new List<Piece>();
        var members = new List<Piece>();
        var open = new Stack<int>();
        for (int i = 0; i < json.Length; i++)
        {
            int start = i;
            switch (json[i])
            {
                case (byte)'"':
                    for (i++; json[i] != '"'; i++)
                        i += json[i] == '\\' ? 1 : 0;
                    break;
                case (byte)'{' or (byte)'[':
                    open.Push(i + 1);
                    break;
                case (byte)'}' or (byte)']' or (byte)',':
                    int member = open.Pop();
                    if (i > member)
                        members.Add(new Piece(member, i - member));
                    if (json[i] == ',')
                        open.Push(i + 1);
                    break;
                case <= (byte)' ':
                    continue;
                case not (byte)':':
                    while (i + 1 < json.Length && json[i + 1] is not ((byte)',' or (byte)']' or (byte)'}' or <= (byte)' '))
                        i++;
                    break;
            }

            tokens.Add(new Piece(start, i + 1 - start));
        }

        return ([.. tokens], [.. members]);
    }

    private static byte[][] Utf8(params string[] texts) => [.. texts.Select(Encoding.UTF8.GetBytes)];

    private readonly record struct Piece(int Start, int Length);
}
