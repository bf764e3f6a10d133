using Sluice.Backends;
using Sluice.Backends.Reference;
using Sluice.Core;
using Sluice.Cpu;
using Sluice.Cuda;

namespace Sluice.Tests.Golden;

/// <summary>The backends that must reproduce the expected outputs.</summary>
internal static class GoldenBackends
{
    public const string Scalar = "reference";
    public const string Cpu = "cpu";
    public const string Card = "cuda";

    public static readonly string[] Names = [Scalar, Cpu];

    public static TheoryData<string> All => [.. Names];

    /// <summary>Those that can run the demonstration model for minutes' worth of tokens in seconds.</summary>
    public static TheoryData<string> Fast => [.. Names.Where(name => name != Scalar)];

    public static IBackend Create(string name) => name switch
    {
        Scalar => new ReferenceBackend(),
        Cpu => new CpuBackend(new CpuOptions { Threads = 2, Activations = ActivationPrecision.Float32 }),
        Card => CudaBackend.Open(),
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "no such backend"),
    };

    /// <summary>Skips a test where there is no card, saying why.</summary>
    public static void NeedCard()
    {
        try
        {
            using CudaBackend card = CudaBackend.Open();
        }
        catch (BackendException e)
        {
            Assert.Skip(e.Message);
        }
    }
}
