using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Cli.Bench;
using Sluice.Cli.Terminal;
using Sluice.Cuda;
using Sluice.Engine;
using Sluice.Models;
using Spectre.Console;

namespace Sluice.Cli.Commands;

/// <summary><c>sluice bench-engine</c>: what the prefix cache saves and costs, and how throughput grows with concurrency, as ratios.</summary>
internal static class BenchEngineCommand
{
    public static Command Create()
    {
        Option<string?> model = CommonOptions.Model();
        Option<FileInfo?> config = new("--config") { HelpName = "FILE", Description = "A config.json to make random weights for." };
        Option<string[]> what = new("--measure") { HelpName = "WHAT", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => ["turns", "uncached", "concurrency"], Description = "turns, uncached, concurrency. Default: all." };
        what.AcceptOnlyFromAmong("turns", "uncached", "concurrency");
        Option<int> history = CommonOptions.AtLeast(new("--history") { HelpName = "N", DefaultValueFactory = _ => 4096, Description = "turns: tokens of the first prompt. Default: 4096." }, 1);
        Option<int> turn = CommonOptions.AtLeast(new("--turn") { HelpName = "N", DefaultValueFactory = _ => 64, Description = "turns: new tokens of the second. Default: 64." }, 1);
        Option<int> others = CommonOptions.AtLeast(new("--others") { HelpName = "N", DefaultValueFactory = _ => 20, Description = "turns: other conversations in between. Default: 20." }, 0);
        Option<int> requests = CommonOptions.AtLeast(new("--requests") { HelpName = "N", DefaultValueFactory = _ => 64, Description = "uncached: requests. Default: 64." }, 1);
        Option<int> prompt = CommonOptions.AtLeast(new("--prompt-tokens") { HelpName = "N", DefaultValueFactory = _ => 512, Description = "uncached: tokens of a prompt. Default: 512." }, 1);
        Option<int> output = CommonOptions.AtLeast(new("--output-tokens") { HelpName = "N", DefaultValueFactory = _ => 32, Description = "uncached, concurrency: tokens generated. Default: 32." }, 2);
        Option<int[]> concurrency = new("--concurrency") { HelpName = "N", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [1, 2, 4, 8, 16, 32, 64], Description = "concurrency: streams. Default: 1 2 4 8 16 32 64." };
        Option<int> repeats = CommonOptions.AtLeast(new("--repeats") { HelpName = "N", DefaultValueFactory = _ => 5, Description = "Counted repetitions, or pairs of runs. Default: 5." }, 1);
        ComputeFlags compute = new();
        Option<long> memory = CommonOptions.Memory();
        Command command = new("bench-engine", "Measure the engine and its prefix cache, as ratios.")
        {
            model, config, what, history, turn, others, requests, prompt, output, concurrency, repeats, memory,
        };
        compute.AddTo(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            using TensorStore store = parsed.GetValue(config) is { } file
                ? new DummyCheckpoint(ModelConfigReader.Read(File.ReadAllBytes(file.FullName)))
                : Checkpoint.Open(ModelPath.Resolve(parsed.GetValue(model)));
            using IBackend backend = compute.Read(parsed).Open(store);
            using LanguageModel loaded = Load(store, backend, parsed.GetValue(memory), cancellation);
            PackedWeightsDisplay.Finish(backend, cancellation);
            Console.WriteLine($"{backend.Name}, {ByteSize.Format(loaded.Caches.Superblocks * loaded.Caches.Geometry.SuperblockBytes)} for KV and states");
            (backend as CudaBackend)?.TimeSteps();
            EngineBench bench = new(loaded, StepSize.Shared, cancellation);
            string[] wanted = parsed.GetValue(what)!;
            if (wanted.Contains("turns", StringComparer.Ordinal))
                Print(await bench.TurnsAsync(parsed.GetValue(history), parsed.GetValue(turn), parsed.GetValue(others), parsed.GetValue(repeats)));
            if (wanted.Contains("uncached", StringComparer.Ordinal))
                Print(await bench.UncachedAsync(parsed.GetValue(requests), parsed.GetValue(prompt), parsed.GetValue(output), streams: 8, parsed.GetValue(repeats)));
            if (wanted.Contains("concurrency", StringComparer.Ordinal))
                await PrintConcurrencyAsync(bench, parsed.GetValue(concurrency)!, parsed.GetValue(output), parsed.GetValue(repeats));
            return ExitCodes.Success;
        });
        return command;
    }

    private static LanguageModel Load(TensorStore store, IBackend backend, long memory, CancellationToken cancellation)
    {
        long weights = ModelFootprint.Of(store).WeightBytes;
        long free = backend.AvailableBytes - weights;
        LoadDisplay display = new("loading");
        long start = Stopwatch.GetTimestamp();
        LanguageModel model = LanguageModel.Load(
            store,
            backend,
            new ModelOptions
            {
                MaxStepTokens = StepSize.Shared,
                MaxLogitRows = 64,
                CacheBytes = CacheBudget.Choose(backend.GeometryOf(CacheShape.Of(store.Config)), memory, free),
            },
            display,
            cancellation);
        display.Finish(weights, Stopwatch.GetElapsedTime(start));
        return model;
    }

    private static void Print(List<TurnRow> rows)
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumn("time to first token");
        foreach (string column in new[] { "prompt", "cached", "ms", "of cold" })
            table.AddColumn(column, c => c.RightAligned());
        foreach (TurnRow row in rows)
            table.AddRow(row.What, N(row.PromptTokens, "N0"), N(row.CachedTokens, "N0"), N(row.Seconds * 1e3, "F1"), N(row.Seconds / rows[0].Seconds, "P2"));
        AnsiConsole.Write(table);
    }

    private static void Print(List<(double On, double Off)> pairs)
    {
        double[] ratios = [.. pairs.Select(pair => pair.Off / pair.On).Order()];
        Console.WriteLine($"uncached traffic, throughput with the cache on as a share of that with it off: {N(ratios[ratios.Length / 2], "P1")} (median of {ratios.Length} pairs, {N(ratios[0], "P1")} to {N(ratios[^1], "P1")})");
    }

    private static async Task PrintConcurrencyAsync(EngineBench bench, int[] streams, int outputTokens, int repeats)
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumn("streams", c => c.RightAligned());
        foreach (string column in new[] { "tokens/s", "of one", "step ms", "engine us", "sampling us", "card ms", "over it" })
            table.AddColumn(column, c => c.RightAligned());
        double one = 0;
        foreach (int count in streams)
        {
            List<ConcurrencyRow> rows = [];
            for (int i = 0; i < repeats; i++)
                rows.Add(await bench.ConcurrencyAsync(count, prompt: 16, Math.Max(outputTokens, 2)));
            ConcurrencyRow row = rows.OrderBy(r => r.TokensPerSecond).ElementAt(rows.Count / 2);
            one = one == 0 ? row.TokensPerSecond : one;
            table.AddRow(
                N(count, "N0"), N(row.TokensPerSecond, "N0"), N(row.TokensPerSecond / one, "F2"), N(row.StepSeconds * 1e3, "F2"), N(row.EngineSeconds * 1e6, "F0"), N(row.SamplingSeconds * 1e6, "F0"),
                row.DeviceSeconds is { } device ? N(device * 1e3, "F3") : "-",
                row.DeviceSeconds is { } alone ? N((row.StepSeconds / alone) - 1, "P1") : "-");
        }

        AnsiConsole.Write(table);
    }

    private static string N(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
