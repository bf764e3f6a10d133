using Sluice.Backends;
using Sluice.Cpu;
using Sluice.Text.Output;

namespace Sluice.Extensions.AI;

/// <summary>Which model a program runs, and with how much of the machine. Checked when the model is loaded.</summary>
public sealed class SluiceOptions
{
    /// <summary>
    /// A folder with config.json, tokenizer.json and safetensors files, or the path of a GGUF file; null: the demonstration model, which lies beside the program.
    /// </summary>
    public string? ModelFolder { get; set; }

    /// <summary>The model's name, as <c>ChatOptions.ModelId</c> may ask for it; null: the folder's or file's.</summary>
    public string? ModelId { get; set; }

    /// <summary>A chat template to use instead of the model's own.</summary>
    public string? ChatTemplate { get; set; }

    /// <summary>How the model marks reasoning and calls of tools; null: as its chat template shows.</summary>
    public OutputFormat? OutputFormat { get; set; }

    /// <summary>Threads that compute; null: what fits the machine.</summary>
    public int? Threads { get; set; }

    /// <summary>What matrix products make of activations: rounded to what this processor multiplies fastest, or float32 as they are. Default: fast.</summary>
    public ActivationPrecision Activations { get; set; }

    /// <summary>What keys and values of the context are kept as; fewer bits hold more context and are read faster. Default: <see cref="KvDtype.Auto"/>.</summary>
    public KvDtype KvDtype { get; set; }

    /// <summary>Whether memory is spread over the nodes of a machine that has several (NUMA), so that threads read with the bandwidth of all. Default: auto.</summary>
    public NumaPlacement Numa { get; set; }

    /// <summary>
    /// Where weights are kept packed between starts, which then take a moment: <c>beside</c> the model, or a folder; null or <c>off</c>: nowhere. The first load writes a file as
    /// large as the weights, which takes as long as the disk needs; <see cref="SluiceModel.PackedWeights"/> says what became of it.
    /// </summary>
    public string? PackedWeights { get; set; }

    /// <summary>
    /// Bytes for the context of running requests and for prefixes that may come again; null: an eighth of what is free after
    /// the weights, and at least 256 MiB, as far as that much is free. A program has other uses for the rest.
    /// </summary>
    public long? CacheBytes { get; set; }

    /// <summary>Most answers that are generated at a time; others wait. Default 32.</summary>
    public int MaxRunning { get; set; } = 32;

    /// <summary>Most requests that wait; one more fails with <c>EngineFailure.Overloaded</c>. Default 1024.</summary>
    public int MaxQueued { get; set; } = 1024;

    /// <summary>How long disposing lets accepted requests finish before they are cancelled. Default 5 seconds.</summary>
    public TimeSpan DrainTimeout { get; set; } = TimeSpan.FromSeconds(5);
}
