using System.Globalization;
using Sluice.Backends;
using Sluice.Backends.Reference;
using Sluice.Core;
using Sluice.Cpu;
using Sluice.Cuda;

namespace Sluice.Cli;

/// <summary>What a model can run on. This is the one place that names devices.</summary>
internal static class Devices
{
    public const string Cpu = "cpu";
    public const string Cuda = "cuda";
    public const string Reference = "reference";

    /// <summary>For help texts.</summary>
    public const string Description = "What computes: cpu, cuda, or cuda:N for another card than the first. Default: cpu.";

    /// <summary>Opens a device by its name.</summary>
    /// <exception cref="ConfigurationException">There is no such kind.</exception>
    /// <exception cref="BackendException">It is not there or cannot be used; the message says why.</exception>
    public static IBackend Open(string name, int threads = 0, ActivationPrecision activations = ActivationPrecision.Fast) => name switch
    {
        Cpu => new CpuBackend(Options(threads, activations)),
        Reference => new ReferenceBackend(),
        Cuda => CudaBackend.Open(),
        _ when CardOf(name) is { } card => CudaBackend.Open(card),
        _ => throw new ConfigurationException($"device: expected {Cpu}, {Cuda}, {Cuda}:N or {Reference}, found '{name}'"),
    };

    /// <summary>How to use the processor; 0 threads for its default.</summary>
    public static CpuOptions Options(int threads, ActivationPrecision activations = ActivationPrecision.Fast) =>
        new() { Threads = threads > 0 ? threads : null, Activations = activations };

    private static int? CardOf(string name) =>
        name.StartsWith(Cuda + ":", StringComparison.Ordinal)
        && int.TryParse(name.AsSpan(Cuda.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int card)
            ? card
            : null;
}
