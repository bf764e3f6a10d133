using System.Text;

namespace Sluice.Checkpoints;

/// <summary>Text from a file as it may appear in a message: short, on one line, without control characters.</summary>
internal static class Printable
{
    private const int MaxLength = 100;

    internal static string Quote(string text) => $"'{Plain(text)}'";

    internal static string Plain(string text)
    {
        var plain = new StringBuilder();
        foreach (char c in text.AsSpan(0, Math.Min(text.Length, MaxLength)))
            plain.Append(char.IsControl(c) || char.IsSurrogate(c) || c is '\u2028' or '\u2029' ? '?' : c);
        return plain.Append(text.Length > MaxLength ? "..." : "").ToString();
    }
}
