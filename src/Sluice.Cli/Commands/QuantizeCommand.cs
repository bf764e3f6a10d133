using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Sluice.Checkpoints;
using Sluice.Checkpoints.Quantising;
using Sluice.Cli.Terminal;
using Sluice.Core;
using Sluice.Models;
using Sluice.Text;

namespace Sluice.Cli.Commands;

/// <summary><c>sluice quantize</c>: writes a model in fewer bits.</summary>
internal static class QuantizeCommand
{
    private const string Fp8 = "fp8";

    /// <summary>Mixes by the names that users of GGUF files know them by.</summary>
    private static readonly (string Name, GgufMix Mix)[] Mixes =
    [
        ("q8_0", GgufMix.Q8_0), ("q5_k_m", GgufMix.Q5_K_M), ("q4_k_m", GgufMix.Q4_K_M), ("bf16", GgufMix.BF16), ("f32", GgufMix.F32),
    ];

    public static Command Create()
    {
        Option<string?> model = CommonOptions.Model();
        Option<string> to = new("--to") { HelpName = "TYPE", Required = true, Description = $"{string.Join(", ", Mixes.Select(mix => mix.Name))}: a GGUF file; {Fp8}: a folder of safetensors." };
        to.AcceptOnlyFromAmong([.. Mixes.Select(mix => mix.Name), Fp8]);
        Option<string> output = new("--out", "-o") { HelpName = "PATH", Required = true, Description = "Where to write; replaced if it is there." };
        Option<bool> mtp = new("--mtp") { Description = "Write the multi-token prediction head to a GGUF file too, as its last block. llama.cpp before August 2026 refuses such files." };
        Option<int> threads = CommonOptions.Threads();
        Command command = new("quantize", "Write a model in fewer bits.") { model, to, output, mtp, threads };
        command.SetAction((parsed, cancellation) => Task.FromResult(Run(
            ModelPath.Resolve(parsed.GetValue(model)),
            parsed.GetRequiredValue(to),
            Path.TrimEndingDirectorySeparator(Path.GetFullPath(parsed.GetRequiredValue(output))),
            parsed.GetValue(mtp),
            parsed.GetValue(threads),
            cancellation)));
        return command;
    }

    private static int Run(string path, string to, string output, bool mtp, int threads, CancellationToken cancellation)
    {
        using Checkpoint checkpoint = Checkpoint.Open(path);
        if (checkpoint.Files.Append(checkpoint.Location).Any(source => IsSame(source, output)))
            throw new ConfigurationException($"--out: {output} is the model itself");
        LoadDisplay display = new("quantising");
        long start = Stopwatch.GetTimestamp();
        if (to == Fp8)
            Fp8Quantiser.Quantise(checkpoint, output, Tokenizer.DescribeForFolder(path), threads, display, cancellation);
        else
            GgufQuantiser.Write(checkpoint, output, Mixes.Single(mix => mix.Name == to).Mix, Tokenizer.DescribeForGguf(path, checkpoint.Config.VocabularySize), mtp, threads, display, cancellation);

        using Checkpoint written = Checkpoint.Open(output);
        display.Finish(written.ByteLength, Stopwatch.GetElapsedTime(start));
        ModelFootprint footprint = ModelFootprint.Of(written);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{output}: {ByteSize.Format(written.ByteLength)}, {8.0 * footprint.WeightBytes / footprint.Parameters:F2} bits a weight; was {ByteSize.Format(checkpoint.ByteLength)}"));
        return ExitCodes.Success;
    }

    // Names alone do not tell: one may be a link to the other, or lie under one.
    private static bool IsSame(string source, string output) => string.Equals(
        WithoutLinks(source), WithoutLinks(output), OperatingSystem.IsLinux() ? StringComparison.Ordinal : StringComparison.OrdinalIgnoreCase);

    private static string WithoutLinks(string path)
    {
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        if (Path.GetDirectoryName(full) is not { } above)
            return full;
        string here = Path.Combine(WithoutLinks(above), Path.GetFileName(full));
        try
        {
            FileSystemInfo info = Directory.Exists(here) ? new DirectoryInfo(here) : new FileInfo(here);
            return info.ResolveLinkTarget(returnFinalTarget: true) is { } target ? WithoutLinks(target.FullName) : here;
        }
        catch (IOException)
        {
            return here; // links that go round: whoever opens it says so
        }
    }
}
