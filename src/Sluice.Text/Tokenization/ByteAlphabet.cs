namespace Sluice.Text.Tokenization;

/// <summary>
/// GPT-2's printable spelling of bytes: byte-level BPE files write each byte as one character, so that every token is readable
/// text. Printable Latin-1 stands for itself; the other 68 bytes take U+0100 and up, in order.
/// </summary>
internal static class ByteAlphabet
{
    private const int CharCount = 256 + 68;

    private static readonly char[] CharOfByte = new char[256];
    private static readonly short[] ByteOfChar = new short[CharCount];

    static ByteAlphabet()
    {
        Array.Fill(ByteOfChar, (short)-1);
        char next = '\u0100';
        for (int value = 0; value < 256; value++)
        {
            bool printable = value is >= '!' and <= '~' or >= 0xA1 and <= 0xAC or >= 0xAE;
            char spelling = printable ? (char)value : next++;
            CharOfByte[value] = spelling;
            ByteOfChar[spelling] = (short)value;
        }
    }

    /// <summary>The character that stands for a byte.</summary>
    public static char Spell(byte value) => CharOfByte[value];

    /// <summary>Spells bytes, one character each; <paramref name="spelling"/> is at least as long.</summary>
    public static void Spell(ReadOnlySpan<byte> bytes, Span<char> spelling)
    {
        for (int i = 0; i < bytes.Length; i++)
            spelling[i] = CharOfByte[bytes[i]];
    }

    /// <summary>Reads a spelling back into as many bytes; false when a character is no byte's.</summary>
    public static bool TryRead(ReadOnlySpan<char> spelling, Span<byte> bytes)
    {
        for (int i = 0; i < spelling.Length; i++)
        {
            int value = spelling[i] < CharCount ? ByteOfChar[spelling[i]] : -1;
            if (value < 0)
                return false;
            bytes[i] = (byte)value;
        }

        return true;
    }

    /// <summary>Whether every character of the token is some byte's.</summary>
    public static bool Covers(ReadOnlySpan<char> token)
    {
        foreach (char c in token)
        {
            if (c >= CharCount || ByteOfChar[c] < 0)
                return false;
        }

        return true;
    }
}
