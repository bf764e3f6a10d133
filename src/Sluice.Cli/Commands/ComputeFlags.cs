using System.CommandLine;
using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Cpu;

namespace Sluice.Cli.Commands;

/// <summary>What computes and how, for commands that run a model: created anew for each so that commands stay independent.</summary>
internal sealed class ComputeFlags
{
    private readonly Option<string> _device = new("--device") { HelpName = "DEVICE", DefaultValueFactory = _ => Devices.Cpu, Description = Devices.Description };

    private readonly Option<int> _threads = CommonOptions.Threads();
    private readonly Option<ActivationPrecision> _activations;
    private readonly Option<KvDtype> _kvDtype = CommonOptions.KvDtype();
    private readonly Option<ThreadPinning> _pin = new("--pin") { HelpName = "auto|off", Description = PinMeaning };
    private readonly Option<NumaPlacement> _numa = new("--numa") { HelpName = "auto|off", Description = NumaMeaning };
    private readonly Option<string?> _packedWeights = new("--packed-weights") { HelpName = "off|beside|DIR", Description = PackedWeightsMeaning };
    private readonly bool _choosesDevice;

    /// <summary>What pinning is, for help texts.</summary>
    public const string PinMeaning = "Whether threads that compute are bound to cores: auto binds each to its own where there are as many as cores, and fewer to memory nodes in turn where there are several, on Linux. Default: off.";

    /// <summary>What placement on nodes of memory is, for help texts.</summary>
    public const string NumaMeaning = "Whether the CPU's weights, KV pages and states are spread over a machine's memory nodes (NUMA), and bound threads too, on Linux. Nothing happens with one node. Default: auto.";

    /// <summary>What a file of packed weights is, for help texts.</summary>
    public const string PackedWeightsMeaning = "Where the CPU keeps weights packed between starts, as large as they are: beside the model or in a folder. A start that finds them maps them. Default: off.";

    /// <summary>Flags whose defaults are fast or, to compare with others' arithmetic, precise.</summary>
    public ComputeFlags(bool precise = false, bool choosesDevice = true)
    {
        _choosesDevice = choosesDevice;
        _activations = new("--activations")
        {
            HelpName = "fast|float32",
            DefaultValueFactory = _ => precise ? ActivationPrecision.Float32 : ActivationPrecision.Fast,
            Description = "What the CPU's matrix products make of activations: fast rounds them to BF16, or to INT8 for quantised weights; float32 does not, at half the speed. "
                + $"Default: {(precise ? "float32" : "fast")}.",
        };
    }

    public void AddTo(Command command)
    {
        if (_choosesDevice)
            command.Add(_device);
        command.Add(_threads);
        command.Add(_activations);
        command.Add(_kvDtype);
        command.Add(_pin);
        command.Add(_numa);
        command.Add(_packedWeights);
    }

    public Compute Read(ParseResult parsed) => new(
        _choosesDevice ? parsed.GetRequiredValue(_device) : Devices.Cpu,
        Devices.Options(parsed.GetValue(_threads), parsed.GetValue(_activations), parsed.GetValue(_kvDtype), parsed.GetValue(_pin), parsed.GetValue(_numa)),
        parsed.GetValue(_packedWeights));
}

/// <summary>What computes, by its name, and how if it is the processor.</summary>
/// <param name="Device">Its name.</param>
/// <param name="Cpu">How.</param>
/// <param name="PackedWeights">Where weights are kept packed; see <see cref="PackedWeightsOptions.For"/>.</param>
internal sealed record Compute(string Device, CpuOptions Cpu, string? PackedWeights)
{
    /// <summary>Whether it rounds activations, or keys and values.</summary>
    public bool IsRounded => (Device != Devices.Cpu && Device != Devices.Reference)
        || (Device == Devices.Cpu && Cpu.Activations == ActivationPrecision.Fast)
        || Cpu.KvDtype is KvDtype.BF16 or KvDtype.Int8;

    /// <summary>Opens it for the weights of a store. Those that no files have are not kept.</summary>
    /// <inheritdoc cref="Devices.Open"/>
    public IBackend Open(TensorStore store) => Devices.Open(
        Device,
        store is Checkpoint checkpoint && Device == Devices.Cpu
            ? Cpu with { PackedWeights = PackedWeightsOptions.For(PackedWeights, checkpoint.Location, Cpu.Activations, () => checkpoint.Identity()) }
            : Cpu);
}
