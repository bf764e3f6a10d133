namespace Sluice.Caching.Tests.Fuzz;

/// <summary>The cache did what it must never do.</summary>
public sealed class ViolationException(string message) : Exception(message)
{
    public static void Unless(bool holds, string message)
    {
        if (!holds)
            throw new ViolationException(message);
    }
}
