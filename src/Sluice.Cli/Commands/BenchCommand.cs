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
        Option<int> repeats = CommonOptions.AtLeast(new("--repeats") { HelpName = "N", DefaultValueFactory = _ => 5, Description = "Counted repetitions; the median is reported. Default: 5." }, 1);
        Option<int> chunk = CommonOptions.AtLeast(new("--chunk") { HelpName = "N", DefaultValueFactory = _ => 512, Description = "Most prompt tokens a step. Default: 512." }, 1);
        Option<string?> load = new("--load") { HelpName = "DIR", Description = "Measure loading this checkpoint instead, one worker against the default; a DIR that does not exist is filled with a synthetic checkpoint." };
        Option<long> loadBytes = CommonOptions.Size("--load-bytes", "Size of the synthetic checkpoint of --load. Default: 4GiB.");
        Option<string> device = CommonOptions.Device();
        Option<int> threads = CommonOptions.Threads();
        Option<int> workers = CommonOptions.LoadWorkers();
        Command command = new("bench", "Measure speed against the machine's own limits.") { model, config, dummy, prompts, decode, context, batch, repeats, chunk, load, loadBytes, device, threads, workers };
        command.Validators.Add(result =>
        {
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
                ? new DummyCheckpoint(ModelConfigReader.Read(File.ReadAllBytes(file.FullName)))
                : Checkpoint.Open(ModelPath.Resolve(parsed.GetValue(model)));
            using (store)
            {
                Plan plan = new(
                    parsed.GetValue(prompts)!, parsed.GetValue(batch)!, parsed.GetValue(context), parsed.GetValue(decode), parsed.GetValue(repeats),
                    parsed.GetValue(chunk), parsed.GetRequiredValue(device), parsed.GetValue(threads), parsed.GetValue(workers));
                return Task.FromResult(Run(store, plan, cancellation));
            }
        });
        return command;
    }

    private sealed record Plan(int[] Prompts, int[] Batches, int Context, int DecodeTokens, int Repeats, int Chunk, string Device, int Threads, int Workers);

    private static int Run(TensorStore store, Plan plan, CancellationToken cancellation)
    {
        int longest = Math.Max(plan.Prompts.Max(), plan.Context + plan.DecodeTokens);
        if (longest > store.Config.MaxPositions)
            throw new ConfigurationException($"the model takes {store.Config.MaxPositions} tokens, the measurement needs {longest}; give fewer --prompt-tokens");
        using IBackend backend = Devices.Open(plan.Device, plan.Threads);
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
        using LanguageModel model = LanguageModel.Load(store, backend, options, display, cancellation);
        display.Finish(new ModelFootprint(store.Config).WeightBytes, Stopwatch.GetElapsedTime(start));
        if (backend is CudaBackend card)
            return MeasureCard(card, model, plan);
        Console.Error.WriteLine("measuring the machine");
        MachineLimits limits = MachineLimits.Measure(Devices.Options(plan.Threads));
        ModelBench bench = new(model, plan.Chunk);
        List<SpeedRow> rows = [];
        foreach (int prompt in plan.Prompts)
            rows.Add(Measure($"prefill of {prompt}", () => bench.Prefill(prompt, plan.Repeats, cancellation)));
        foreach (int sequences in plan.Batches)
            rows.Add(Measure($"decode of {sequences}", () => bench.Decode(sequences, plan.Context, plan.DecodeTokens, plan.Repeats, cancellation)));
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

    private static SpeedRow Measure(string what, Func<SpeedRow> measure)
    {
        Console.Error.WriteLine($"measuring {what}");
        return measure();
    }

    private static void Print(string backend, MachineLimits limits, List<SpeedRow> rows)
    {
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{backend}; this machine reads {limits.ReadBytesPerSecond / 1e9:F1} GB/s and does {limits.MultiplyAddsPerSecond / 1e9:F1} G float32 multiply-adds/s"));
        Table table = new Table().Border(TableBorder.Simple).AddColumn("what");
        foreach (string column in new[] { "tokens/s", "±", "GB/s", "of bandwidth", "GMAC/s", "of peak" })
            table.AddColumn(column, c => c.RightAligned());
        foreach (SpeedRow row in rows)
        {
            double bytes = row.Bytes / row.Median;
            double work = row.MultiplyAdds / row.Median;
            table.AddRow(
                row.What,
                row.TokensPerSecond.ToString("F1", CultureInfo.InvariantCulture),
                row.Spread.ToString("P0", CultureInfo.InvariantCulture),
                row.Bytes > 0 ? (bytes / 1e9).ToString("F1", CultureInfo.InvariantCulture) : "",
                row.Bytes > 0 ? (bytes / limits.ReadBytesPerSecond).ToString("P0", CultureInfo.InvariantCulture) : "",
                (work / 1e9).ToString("F1", CultureInfo.InvariantCulture),
                (work / limits.MultiplyAddsPerSecond).ToString("P0", CultureInfo.InvariantCulture));
        }

        AnsiConsole.Write(table);
    }
}
