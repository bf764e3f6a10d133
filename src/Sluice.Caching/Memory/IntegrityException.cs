using Sluice.Core;

namespace Sluice.Caching.Memory;

/// <summary>
/// The cache's books do not balance: a page or slot held by nobody, or by more than are known, or a tree that breaks its own rules.
/// Always a bug in Sluice.
/// </summary>
public sealed class IntegrityException : SluiceException
{
    /// <summary>Creates the error; <paramref name="message"/> says what was expected and found.</summary>
    public IntegrityException(string message)
        : base(message)
    {
    }

    /// <summary>Throws unless <paramref name="holds"/>.</summary>
    internal static void Require(bool holds, [System.Runtime.CompilerServices.InterpolatedStringHandlerArgument(nameof(holds))] ref FailureText text)
    {
        if (!holds)
            throw new IntegrityException(text.ToString());
    }

    /// <summary>Formats a message only when it is needed: the books are checked millions of times and fail never.</summary>
    [System.Runtime.CompilerServices.InterpolatedStringHandler]
    internal ref struct FailureText
    {
        private System.Runtime.CompilerServices.DefaultInterpolatedStringHandler _text;
        private readonly bool _wanted;

        public FailureText(int literalLength, int formattedCount, bool holds, out bool wanted)
        {
            wanted = _wanted = !holds;
            if (wanted)
                _text = new(literalLength, formattedCount, System.Globalization.CultureInfo.InvariantCulture);
        }

        public void AppendLiteral(string value) => _text.AppendLiteral(value);

        public void AppendFormatted<T>(T value) => _text.AppendFormatted(value);

        public override string ToString() => _wanted ? _text.ToStringAndClear() : "";
    }
}
