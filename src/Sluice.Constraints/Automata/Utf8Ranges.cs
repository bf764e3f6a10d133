namespace Sluice.Constraints.Automata;

/// <summary>Splits a range of scalar values into sequences of byte ranges, one for each byte of their UTF-8 form.</summary>
internal static class Utf8Ranges
{
    /// <summary>Calls <paramref name="emit"/> with one to four byte ranges at a time; together they spell exactly the range.</summary>
    public static void Split(int first, int last, Action<ReadOnlySpan<(byte First, byte Last)>> emit)
    {
        ReadOnlySpan<int> lengthEnds = [0x7F, 0x7FF, 0xFFFF, 0x10FFFF];
        foreach (int end in lengthEnds)
        {
            if (first > end)
                continue;
            int part = Math.Min(last, end);
            SplitOneLength(first, part, emit);
            if (part == last)
                return;
            first = part + 1;
        }
    }

    private static void SplitOneLength(int first, int last, Action<ReadOnlySpan<(byte First, byte Last)>> emit)
    {
        // Cut so that in each part all bytes but one range freely: at most three levels of six bits.
        for (int bits = 6; bits <= 18 && first > 0x7F; bits += 6)
        {
            int mask = (1 << bits) - 1;
            if ((first & ~mask) == (last & ~mask))
                continue;
            if ((first & mask) != 0)
            {
                SplitOneLength(first, first | mask, emit);
                SplitOneLength((first | mask) + 1, last, emit);
                return;
            }

            if ((last & mask) != mask)
            {
                SplitOneLength(first, (last & ~mask) - 1, emit);
                SplitOneLength(last & ~mask, last, emit);
                return;
            }
        }

        Span<byte> low = stackalloc byte[4], high = stackalloc byte[4];
        int length = Encode(first, low);
        Encode(last, high);
        Span<(byte, byte)> ranges = stackalloc (byte, byte)[length];
        for (int i = 0; i < length; i++)
            ranges[i] = (low[i], high[i]);
        emit(ranges);
    }

    private static int Encode(int value, Span<byte> bytes)
    {
        if (value < 0x80)
        {
            bytes[0] = (byte)value;
            return 1;
        }

        int length = value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
        for (int i = length - 1; i > 0; i--)
        {
            bytes[i] = (byte)(0x80 | (value & 0x3F));
            value >>= 6;
        }

        bytes[0] = (byte)((0xF00 >> length) | value);
        return length;
    }
}
