using Sluice.Backends;
using Sluice.Backends.Reference;
using Sluice.Cpu;

namespace Sluice.Tests.Golden;

/// <summary>The backends that must reproduce the expected outputs.</summary>
internal static class GoldenBackends
{
    public const string Scalar = "reference";
    public const string Cpu = "cpu";

    public static readonly string[] Names = [Scalar, Cpu];

    public static TheoryData<string> All => [.. Names];

    /// <summary>Those that can run the demonstration model for minutes' worth of tokens in seconds.</summary>
    public static TheoryData<string> Fast => [.. Names.Where(name => name != Scalar)];

    public static IBackend Create(string name) => name switch
    {
        Scalar => new ReferenceBackend(),
        Cpu => new CpuBackend(new CpuOptions { Threads = 2, Activations = ActivationPrecision.Float32 }),
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "no such backend"),
    };
}
