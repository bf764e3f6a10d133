using System.CommandLine;
using Sluice.Cli.Terminal;
using Sluice.Cpu;

namespace Sluice.Cli.Commands;

/// <summary>Options that several commands share, created anew for each so that commands stay independent.</summary>
internal static class CommonOptions
{
    public static Option<string?> Model() =>
        new("--model", "-m") { HelpName = "PATH", Description = "Model folder (Hugging Face layout) or GGUF file. Default: the demonstration model that comes with the program." };

    public static Option<int> Threads() => AtLeast(new("--threads", "-t") { HelpName = "N", Description = "Threads for computing. Default: one per physical core." }, 0);

    public static Option<ActivationPrecision> Activations(ActivationPrecision byDefault = ActivationPrecision.Fast) => new("--activations")
    {
        HelpName = "fast|float32",
        DefaultValueFactory = _ => byDefault,
        Description = "What the CPU's matrix products make of activations: fast rounds them to BF16, or to INT8 for quantised weights; float32 does not, at half the speed. "
            + $"Default: {(byDefault == ActivationPrecision.Fast ? "fast" : "float32")}.",
    };

    public static Option<string> Device() =>
        new("--device") { HelpName = "DEVICE", DefaultValueFactory = _ => Devices.Cpu, Description = Devices.Description };

    public static Option<int> LoadWorkers() =>
        AtLeast(new("--load-workers") { HelpName = "N", Description = "Tensors loaded at the same time. Default: one per core, 16 at most." }, 0);

    public static Option<long> Memory() =>
        Size("--memory", "Memory for KV pages and states, for example 8GiB. Default: what is free after the weights, less an eighth.");

    /// <summary>A size such as 8GiB; 0 when not given.</summary>
    public static Option<long> Size(string name, string description) => new(name)
    {
        HelpName = "SIZE",
        Description = description,
        CustomParser = result =>
        {
            if (ByteSize.TryParse(result.Tokens[0].Value, out long bytes) && bytes > 0)
                return bytes;
            result.AddError($"{name}: expected a size such as 8GiB, found '{result.Tokens[0].Value}'");
            return 0;
        },
    };

    public static Option<int> AtLeast(Option<int> option, int minimum)
    {
        option.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && result.GetValueOrDefault<int>() < minimum)
                result.AddError($"{option.Name} must be at least {minimum}");
        });
        return option;
    }
}
