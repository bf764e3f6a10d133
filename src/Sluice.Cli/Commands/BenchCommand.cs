using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Cli.Bench;
using Sluice.Cli.Terminal;
using Sluice.Core;
using Sluice.Cpu;
using Sluice.Cuda;
using Sluice.Models;
using Spectre.Console;

namespace Sluice.Cli.Commands;

/// <summary><c>sluice bench</c>: speeds as fractions of what the machine can do, measured in the same run.</summary>
internal static class BenchCommand
{
    public static Command Create()
    {
        Option<string?> model = CommonOptions.Model();
        Option<FileInfo?> config = new("--config") { HelpName = "FILE", Description = "A config.json to make random weights for; with --dummy-weights." };
        Option<bool> dummy = new("--dummy-weights") { Description = "Random weights, for sizes that are not at hand." };
        Option<int[]> prompts = new("--prompt-tokens") { HelpName = "N", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [512, 2048], Description = "Prompt lengths. Default: 512 2048." };
        Option<int> decode = CommonOptions.AtLeast(new("--decode-tokens") { HelpName = "N", DefaultValueFactory = _ => 64, Description = "Tokens decoded in a repetition. Default: 64." }, 1);
        Option<int> context = CommonOptions.AtLeast(new("--context") { HelpName = "N", DefaultValueFactory = _ => 128, Description = "Tokens before the first decoded one. Default: 128." }, 0);
        Option<int[]> batch = new("--batch") { HelpName = "N", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [1], Description = "Sequences decoded at a time. Default: 1." };
        Option<int> repeats = CommonOptions.AtLeast(new("--repeats") { HelpName = "N", DefaultValueFactory = _ => 5, Description = "Counted repetitions: the median is reported and the best, which is what fractions of the machine's own best moments are of. Default: 5." }, 1);
        Option<int> chunk = CommonOptions.AtLeast(new("--chunk") { HelpName = "N", Description = "Most prompt tokens a step. Default: as many as the engine takes of prompts alone, 512 to 2048 by the model's experts." }, 1);
        Option<string?> load = new("--load") { HelpName = "DIR", Description = "Measure loading this checkpoint instead, one worker against the default; a DIR that does not exist is filled with a synthetic checkpoint." };
        Option<long> loadBytes = CommonOptions.Size("--load-bytes", "Size of the synthetic checkpoint of --load. Default: 4GiB.");
        ComputeFlags compute = new();
        Option<bool> profile = new("--profile") { Description = "Also print where each measurement's time goes, by operation." };
        Option<string?> weights = new("--weights") { HelpName = "MIX", Description = "Dummy weights as in GGUF files of this mix: q8_0 or q4_k_m. Default: the type in the configuration." };
        weights.AcceptOnlyFromAmong(QuantisedDummies.Mixes);
        Option<int> workers = CommonOptions.LoadWorkers();
        Command command = new("bench", "Measure speed against the machine's own limits.") { model, config, dummy, prompts, decode, context, batch, repeats, chunk, load, loadBytes, weights, profile, workers };
        compute.AddTo(command);
        command.Validators.Add(result =>
        {
            if (result.GetResult(weights) is not null && !result.GetValue(dummy))
                result.AddError("--weights is for --dummy-weights");
            if (result.GetValue(dummy) != (result.GetResult(config) is not null))
                result.AddError("--config and --dummy-weights go together");
            if ((result.GetValue(prompts) ?? []).Concat(result.GetValue(batch) ?? []).Any(number => number < 1))
                result.AddError("--prompt-tokens and --batch must be at least 1");
        });
        command.SetAction((parsed, cancellation) =>
        {
            if (parsed.GetValue(load) is { } folder)
                return Task.FromResult(LoadBench.Run(folder, parsed.GetValue(loadBytes), parsed.GetValue(workers), cancellation));
            TensorStore store = parsed.GetValue(config) is { } file
                ? Dummies(ModelConfigReader.Read(File.ReadAllBytes(file.FullName)), parsed.GetValue(weights))
                : Checkpoint.Open(ModelPath.Resolve(parsed.GetValue(model)));
            using (store)
            {
                Plan plan = new(
                    parsed.GetValue(prompts)!, parsed.GetValue(batch)!, parsed.GetValue(context), parsed.GetValue(decode), parsed.GetValue(repeats),
                    parsed.GetValue(chunk) is > 0 and var given ? given : StepSize.Alone(store.Config), compute.Read(parsed), parsed.GetValue(profile), parsed.GetValue(workers));
                return Task.FromResult(Run(store, plan, cancellation));
            }
        });
        return command;
    }

    private sealed record Plan(int[] Prompts, int[] Batches, int Context, int DecodeTokens, int Repeats, int Chunk, Compute Compute, bool Profile, int Workers);

    private static TensorStore Dummies(ModelConfig config, string? mix) => mix is null ? new DummyCheckpoint(config) : new QuantisedDummies(config, mix);

    private static int Run(TensorStore store, Plan plan, CancellationToken cancellation)
    {
        int longest = Math.Max(plan.Prompts.Max(), plan.Context + plan.DecodeTokens);
        if (longest > store.Config.MaxPositions)
            throw new ConfigurationException($"the model takes {store.Config.MaxPositions} tokens, the measurement needs {longest}; give fewer --prompt-tokens");
        using IBackend backend = plan.Compute.Open(store);
        ProfiledBackend? profiled = plan.Profile ? new ProfiledBackend(backend) : null;
        ModelOptions options = new()
        {
            MaxStepTokens = Math.Max(plan.Chunk, plan.Batches.Max()),
            MaxLogitRows = plan.Batches.Max(),
            Pages = ModelBench.PagesNeeded(plan.Batches.Max(), longest),
            Slots = plan.Batches.Max(),
            LoadWorkers = plan.Workers,
        };
        LoadDisplay display = new("loading");
        long start = Stopwatch.GetTimestamp();
        using LanguageModel model = LanguageModel.Load(store, profiled ?? backend, options, display, cancellation);
        display.Finish(new ModelFootprint(store.Config).WeightBytes, Stopwatch.GetElapsedTime(start));
        PackedWeightsDisplay.Finish(backend, cancellation);
        if (backend is CudaBackend card)
            return MeasureCard(card, model, plan);
        Console.Error.WriteLine("measuring the machine");
        MachineLimits limits = MachineLimits.Measure(plan.Compute.Cpu);
        ModelBench bench = new(model, ModelFootprint.Of(store), plan.Chunk, (store as QuantisedDummies) is { } dummies ? dummies.BytesOfStep : null);
        List<SpeedRow> rows = [];
        foreach (int prompt in plan.Prompts)
            rows.Add(Measure($"prefill of {prompt}", profiled, () => bench.Prefill(prompt, plan.Repeats, cancellation)));
        foreach (int sequences in plan.Batches)
            rows.Add(Measure($"decode of {sequences}", profiled, () => bench.Decode(sequences, plan.Context, plan.DecodeTokens, plan.Repeats, cancellation)));
        Print(backend.Name, limits, rows);
        return ExitCodes.Success;
    }

    // On a card operations are queued, so that times of a step mean nothing here: it is recorded, and so is each operation.
    private static int MeasureCard(CudaBackend card, LanguageModel model, Plan plan)
    {
        Console.Error.WriteLine("measuring the card");
        CardBench bench = new(card, model, plan.Repeats);
        Console.WriteLine(bench.Limits);
        foreach (int sequences in plan.Batches)
            bench.Decode(sequences, plan.Context);
        foreach (int prompt in plan.Prompts.Where(prompt => prompt <= model.MaxStepTokens))
            bench.Prefill(prompt);
        return ExitCodes.Success;
    }

    private static SpeedRow Measure(string what, ProfiledBackend? profiled, Func<SpeedRow> measure)
    {
        Console.Error.WriteLine($"measuring {what}");
        profiled?.Reset();
        SpeedRow row = measure();
        profiled?.Print(what);
        return row;
    }

    private static void Print(string backend, MachineLimits limits, List<SpeedRow> rows)
    {
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{backend}; this machine reads {limits.ReadBytesPerSecond / 1e9:F1} GB/s and does {limits.DescribeMultiplyAdds()}"));
        Table table = new Table().Border(TableBorder.Simple).AddColumn("what", c => c.NoWrap());
        foreach (string column in new[] { "tokens/s", "best", "GB/s", "of read", "GMAC/s", "F32", "BF16", "INT8" })
            table.AddColumn(column, c => c.RightAligned().NoWrap().PadLeft(0));
        foreach (SpeedRow row in rows)
        {
            double bytes = row.Bytes / row.Best;
            double work = row.MultiplyAdds / row.Best;
            table.AddRow(
                row.What,
                row.TokensPerSecond.ToString("F1", CultureInfo.InvariantCulture),
                (row.Tokens / row.Best).ToString("F1", CultureInfo.InvariantCulture),
                (bytes / 1e9).ToString("F1", CultureInfo.InvariantCulture),
                Fraction(bytes, limits.ReadBytesPerSecond),
                (work / 1e9).ToString("F1", CultureInfo.InvariantCulture),
                Fraction(work, limits.MultiplyAddsPerSecond),
                Fraction(work, limits.BFloat16MultiplyAddsPerSecond),
                Fraction(work, limits.Int8MultiplyAddsPerSecond));
        }

        AnsiConsole.Write(table);
    }

    private static string Fraction(double of, double limit) => limit > 0 ? (of / limit).ToString("P0", CultureInfo.InvariantCulture) : "";
}
