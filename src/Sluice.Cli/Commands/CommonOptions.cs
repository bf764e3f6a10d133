using System.CommandLine;
using Sluice.Backends;
using Sluice.Cli.Terminal;

namespace Sluice.Cli.Commands;

/// <summary>Options that several commands share, created anew for each so that commands stay independent.</summary>
internal static class CommonOptions
{
    public static Option<string?> Model() =>
        new("--model", "-m") { HelpName = "PATH", Description = "Model folder (Hugging Face layout) or GGUF file. Default: the demonstration model that comes with the program." };

    public static Option<int> Threads() => AtLeast(new("--threads", "-t") { HelpName = "N", Description = "Threads for computing. Default: one per physical core." }, 0);

    /// <summary>What keys and values are kept as.</summary>
    public static Option<KvDtype> KvDtype() => new("--kv-dtype")
    {
        HelpName = "auto|float32|bf16|int8",
        Description = KvDtypeMeaning,
    };

    /// <summary>What the kinds are, for help texts.</summary>
    public const string KvDtypeMeaning =
        "What keys and values are kept as. auto: bf16, but float32 on the CPU where activations are float32. A card has no other than bf16. Default: auto.";

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
