using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Unicode;
using Sluice.Core;

namespace Sluice.Checkpoints.Gguf;

/// <summary>The metadata of a GGUF file, read with their ranges. Every error names the key, what was expected and what was found.</summary>
internal sealed class GgufMetadata(string file, Dictionary<string, GgufValue> values, GgufMetadata.Bytes bytes)
{
    /// <summary>A view of the file.</summary>
    internal delegate ReadOnlySpan<byte> Bytes(int offset, int count);

    /// <summary>The keys there are.</summary>
    internal IReadOnlyCollection<string> Keys => values.Keys;

    internal bool Has(string key) => values.ContainsKey(key);

    internal string? Text(string key)
    {
        if (Find(key) is not { } value)
            return null;
        if (value.Type != GgufValueType.String)
            throw Wrong(key, "a string", value);
        return Decode(key, bytes(value.Offset + 8, value.Length - 8));
    }

    internal bool? Boolean(string key) => Find(key) is not { } value ? null
        : value.Type == GgufValueType.Bool ? bytes(value.Offset, 1)[0] == 1
        : throw Wrong(key, "a truth value", value);

    internal int? Integer(string key, int minimum, int maximum)
    {
        if (Find(key) is not { } value)
            return null;
        if (value.Type == GgufValueType.Array || WholeNumber(value, 0) is not { } number)
            throw Wrong(key, "a whole number", value);
        return InRange(key, number, minimum, maximum);
    }

    internal int RequiredInteger(string key, int minimum, int maximum) => Integer(key, minimum, maximum) ?? throw Missing(key);

    /// <summary>
    /// A number for all layers, or an array with one for each: those that are not 0 must agree. Some writers put 0 for layers that the number does
    /// not concern.
    /// </summary>
    internal int RequiredUniformInteger(string key, int minimum, int maximum)
    {
        if (Find(key) is not { Type: GgufValueType.Array })
            return RequiredInteger(key, minimum, maximum);
        int[] numbers = [.. Integers(key, 0, maximum, int.MaxValue)!.Where(number => number != 0).Distinct()];
        return numbers.Length == 1
            ? InRange(key, numbers[0], minimum, maximum)
            : throw Error(key, $"expected the same number for all layers, found {numbers.Length} different ones");
    }

    /// <summary>Whole numbers or truth values, or null when absent.</summary>
    internal int[]? Integers(string key, int minimum, int maximum, int limit)
    {
        if (Find(key) is not { } value)
            return null;
        if (value.Type != GgufValueType.Array)
            throw Wrong(key, "an array", value);
        if (value.Count > limit)
            throw Error(key, $"expected at most {limit} elements, found {value.Count}");
        int[] numbers = new int[value.Count];
        for (int i = 0; i < numbers.Length; i++)
            numbers[i] = InRange(key, WholeNumber(value, i) ?? throw Wrong(key, "an array of whole numbers", value), minimum, maximum);
        return numbers;
    }

    /// <summary>A finite number.</summary>
    internal double? Number(string key)
    {
        if (Find(key) is not { } value)
            return null;
        double? number = value.Type switch
        {
            GgufValueType.Float32 => BinaryPrimitives.ReadSingleLittleEndian(bytes(value.Offset, 4)),
            GgufValueType.Float64 => BinaryPrimitives.ReadDoubleLittleEndian(bytes(value.Offset, 8)),
            GgufValueType.Array => null,
            _ => (double?)WholeNumber(value, 0),
        };
        return number is { } found && double.IsFinite(found) ? found : throw Wrong(key, "a finite number", value);
    }

    /// <summary>Strings, or null when absent.</summary>
    internal string[]? Strings(string key, int limit)
    {
        if (Find(key) is not { } value)
            return null;
        var strings = new string[CountOfStrings(key, value, limit)];
        int at = value.Offset;
        for (int i = 0; i < strings.Length; i++)
            strings[i] = Decode(key, Next(ref at));
        return strings;
    }

    /// <summary>One string of an array; null when the array or the place in it is absent.</summary>
    internal string? StringAt(string key, int index)
    {
        if (Find(key) is not { } value || index >= CountOfStrings(key, value, int.MaxValue))
            return null;
        int at = value.Offset;
        for (int i = 0; i < index; i++)
            Next(ref at);
        return Decode(key, Next(ref at));
    }

    /// <summary>The places in an array of strings of those that are any of <paramref name="wanted"/>.</summary>
    internal List<int> PlacesOf(string key, IReadOnlyList<string> wanted)
    {
        List<int> places = [];
        if (Find(key) is not { } value)
            return places;
        byte[][] names = [.. wanted.Select(Encoding.UTF8.GetBytes)];
        int count = CountOfStrings(key, value, int.MaxValue);
        int at = value.Offset;
        for (int i = 0; i < count; i++)
        {
            bool found = false;
            ReadOnlySpan<byte> text = Next(ref at);
            foreach (byte[] name in names)
                found |= text.SequenceEqual(name);
            if (found)
                places.Add(i);
        }

        return places;
    }

    internal CheckpointException Missing(string key) => Error(key, "is missing");

    internal CheckpointException Error(string key, string problem) => new($"{file}: metadata {Printable.Plain(key)}: {problem}");

    private GgufValue? Find(string key) => values.TryGetValue(key, out GgufValue value) ? value : null;

    private int CountOfStrings(string key, GgufValue value, int limit)
    {
        if (value is not { Type: GgufValueType.Array, Element: GgufValueType.String })
            throw Wrong(key, "an array of strings", value);
        return value.Count <= limit ? value.Count : throw Error(key, $"expected at most {limit} strings, found {value.Count}");
    }

    private ReadOnlySpan<byte> Next(ref int at)
    {
        int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes(at, 8));
        ReadOnlySpan<byte> text = bytes(at + 8, length);
        at += 8 + length;
        return text;
    }

    private string Decode(string key, ReadOnlySpan<byte> text) =>
        Utf8.IsValid(text) ? Encoding.UTF8.GetString(text) : throw Error(key, "is not UTF-8");

    private int InRange(string key, Int128 number, int minimum, int maximum) => number >= minimum && number <= maximum
        ? (int)number
        : throw Error(key, string.Create(CultureInfo.InvariantCulture, $"expected a whole number from {minimum} to {maximum}, found {number}"));

    private Int128? WholeNumber(GgufValue value, int index)
    {
        int size = GgufValue.SizeOf(value.Element);
        if (size == 0)
            return null;
        ReadOnlySpan<byte> stored = bytes(value.Offset + (index * size), size);
        return value.Element switch
        {
            GgufValueType.UInt8 or GgufValueType.Bool => stored[0],
            GgufValueType.Int8 => (sbyte)stored[0],
            GgufValueType.UInt16 => BinaryPrimitives.ReadUInt16LittleEndian(stored),
            GgufValueType.Int16 => BinaryPrimitives.ReadInt16LittleEndian(stored),
            GgufValueType.UInt32 => BinaryPrimitives.ReadUInt32LittleEndian(stored),
            GgufValueType.Int32 => BinaryPrimitives.ReadInt32LittleEndian(stored),
            GgufValueType.UInt64 => BinaryPrimitives.ReadUInt64LittleEndian(stored),
            GgufValueType.Int64 => BinaryPrimitives.ReadInt64LittleEndian(stored),
            _ => null,
        };
    }

    private CheckpointException Wrong(string key, string expected, GgufValue found) => Error(
        key, $"expected {expected}, found {(found.Type == GgufValueType.Array ? $"an array of {found.Element}" : found.Type.ToString())}");
}
