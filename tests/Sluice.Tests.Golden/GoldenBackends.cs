using Sluice.Backends;
using Sluice.Backends.Reference;

namespace Sluice.Tests.Golden;

/// <summary>The backends that must reproduce the expected outputs.</summary>
internal static class GoldenBackends
{
    public static readonly string[] Names = ["reference"];

    public static IBackend Create(string name) => name switch
    {
        "reference" => new ReferenceBackend(),
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "no such backend"),
    };
}
