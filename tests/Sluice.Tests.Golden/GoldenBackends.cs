using Sluice.Backends;
using Sluice.Backends.Reference;

namespace Sluice.Tests.Golden;

/// <summary>The backends that must reproduce the expected outputs.</summary>
internal static class GoldenBackends
{
    public const string Scalar = "reference";

    public static readonly string[] Names = [Scalar];

    public static TheoryData<string> All => [.. Names];

    public static IBackend Create(string name) => name switch
    {
        Scalar => new ReferenceBackend(),
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "no such backend"),
    };
}
