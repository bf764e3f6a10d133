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
    /// <param name="name">The name.</param>
    /// <param name="options">How to use the processor; of it, other devices have only what keys and values are kept as.</param>
    /// <exception cref="ConfigurationException">There is no such kind, or it does not keep keys and values so.</exception>
    /// <exception cref="BackendException">It is not there or cannot be used; the message says why.</exception>
    public static IBackend Open(string name, CpuOptions options) => name switch
    {
        Cpu => new CpuBackend(options),
        Reference => new ReferenceBackend(options.KvDtype),
        Cuda => OpenCard(0, options.KvDtype),
        _ when CardOf(name) is { } card => OpenCard(card, options.KvDtype),
        _ => throw new ConfigurationException($"device: expected {Cpu}, {Cuda}, {Cuda}:N or {Reference}, found '{name}'"),
    };

    /// <summary>How to use the processor; 0 threads for its default.</summary>
    public static CpuOptions Options(int threads, ActivationPrecision activations, KvDtype kvDtype, ThreadPinning pin, NumaPlacement numa) =>
        new() { Threads = threads > 0 ? threads : null, Activations = activations, KvDtype = kvDtype, Pin = pin, Numa = numa };

    /// <summary>The kinds of <see cref="KvDtype"/> as flags and settings name them.</summary>
    public static string Word(KvDtype type) => type.ToString().ToLowerInvariant();

    private static CudaBackend OpenCard(int card, KvDtype kvDtype) => kvDtype is KvDtype.Auto or KvDtype.BF16
        ? CudaBackend.Open(card)
        : throw new ConfigurationException($"kv-dtype: a card keeps keys and values in bf16; found {Word(kvDtype)}, which is for --device {Cpu}");

    private static int? CardOf(string name) =>
        name.StartsWith(Cuda + ":", StringComparison.Ordinal)
        && int.TryParse(name.AsSpan(Cuda.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int card)
            ? card
            : null;
}
