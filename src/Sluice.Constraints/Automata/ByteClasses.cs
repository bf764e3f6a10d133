namespace Sluice.Constraints.Automata;

/// <summary>A partition of the 256 byte values into classes that an automaton cannot tell apart.</summary>
internal sealed class ByteClasses
{
    private readonly byte[] _map;
    private readonly byte[] _representatives;

    private ByteClasses(byte[] map, int count)
    {
        _map = map;
        _representatives = new byte[count];
        for (int value = 255; value >= 0; value--)
            _representatives[map[value]] = (byte)value;
    }

    public int Count => _representatives.Length;

    /// <summary>The lowest byte of each class.</summary>
    public ReadOnlySpan<byte> Representatives => _representatives;

    public int this[byte value] => _map[value];

    /// <summary>Every byte of <paramref name="bytes"/> alone, the others together.</summary>
    public static ByteClasses Distinguishing(ReadOnlySpan<byte> bytes)
    {
        var starts = new bool[257];
        foreach (byte value in bytes)
            starts[value] = starts[value + 1] = true;
        return FromStarts(starts);
    }

    /// <summary>Classes that are runs of bytes; <paramref name="starts"/>, [257], marks where a new run starts.</summary>
    public static ByteClasses FromStarts(ReadOnlySpan<bool> starts)
    {
        var map = new byte[256];
        int current = 0;
        for (int value = 1; value < 256; value++)
        {
            if (starts[value])
                current++;
            map[value] = (byte)current;
        }

        return new ByteClasses(map, current + 1);
    }

    /// <summary>This partition with classes made one where <paramref name="numbers"/> gives them the same number.</summary>
    public ByteClasses Merge(ReadOnlySpan<int> numbers)
    {
        var map = new byte[256];
        int count = 0;
        for (int value = 0; value < 256; value++)
        {
            map[value] = (byte)numbers[_map[value]];
            count = Math.Max(count, map[value] + 1);
        }

        return new ByteClasses(map, count);
    }

    /// <summary>The coarsest partition that distinguishes whatever one of the two does.</summary>
    public static ByteClasses Combine(ByteClasses a, ByteClasses b)
    {
        var map = new byte[256];
        var seen = new Dictionary<(int, int), byte>();
        for (int value = 0; value < 256; value++)
        {
            var pair = (a[(byte)value], b[(byte)value]);
            if (!seen.TryGetValue(pair, out byte number))
                seen.Add(pair, number = (byte)seen.Count);
            map[value] = number;
        }

        return new ByteClasses(map, seen.Count);
    }
}
