using System.CommandLine;
using System.Globalization;
using Sluice.Cli.Bench;
using Sluice.Engine.Text;
using Sluice.Server;
using Sluice.Text;
using Spectre.Console;

namespace Sluice.Cli.Commands;

/// <summary><c>sluice bench-server</c>: what HTTP costs beyond the engine, to the first token and for each.</summary>
internal static class BenchServerCommand
{
    public static Command Create()
    {
        Option<string?> model = CommonOptions.Model();
        Option<int> streams = CommonOptions.AtLeast(new("--streams") { HelpName = "N", DefaultValueFactory = _ => 64, Description = "Requests at a time. Default: 64." }, 1);
        Option<int> requests = CommonOptions.AtLeast(new("--requests") { HelpName = "N", DefaultValueFactory = _ => 256, Description = "Requests of a run. Default: 256." }, 1);
        Option<int> output = CommonOptions.AtLeast(new("--output-tokens") { HelpName = "N", DefaultValueFactory = _ => 64, Description = "Tokens of an answer, on average. Default: 64." }, 2);
        Option<int> repeats = CommonOptions.AtLeast(new("--repeats") { HelpName = "N", DefaultValueFactory = _ => 5, Description = "Pairs of runs. Default: 5." }, 1);
        ComputeFlags compute = new(choosesDevice: false);
        Option<long> memory = CommonOptions.Memory();
        Command command = new("bench-server", "Measure what the server costs beyond the engine, in pairs of runs: the same requests through HTTP and in process.")
        {
            model, streams, requests, output, repeats, memory,
        };
        compute.AddTo(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            string folder = ModelPath.Resolve(parsed.GetValue(model));
            int atATime = parsed.GetValue(streams);
            await using ModelSession session = ModelSession.Load(
                new SessionOptions { Folder = folder, Compute = compute.Read(parsed), Memory = parsed.GetValue(memory), Sequences = atATime }, cancellation);
            ServedModel served = new()
            {
                Id = ModelPath.NameOf(folder),
                Generator = new TextGenerator(session.Engine, Tokenizer.Load(folder), session.EndOfText),
                Chat = ChatTemplate.Load(folder),
            };
            await using ServerBench bench = await ServerBench.StartAsync(served, cancellation);

            // The first pair is for the compiler.
            _ = await RunAsync(throughHttp: false);
            _ = await RunAsync(throughHttp: true);
            Print(await PairedRuns.RunAsync(parsed.GetValue(repeats), RunAsync));
            return ExitCodes.Success;

            Task<ServerRun> RunAsync(bool throughHttp) => bench.RunAsync(throughHttp, atATime, parsed.GetValue(requests), parsed.GetValue(output), cancellation);
        });
        return command;
    }

    private static void Print(List<(ServerRun Http, ServerRun Engine)> pairs)
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumn($"median of {pairs.Count} pairs");
        foreach (string column in new[] { "through HTTP", "in process", "difference", "from", "to" })
            table.AddColumn(column, c => c.RightAligned());
        Add("time a token (all streams), us", run => run.Seconds / run.Tokens * 1e6);
        Add("CPU a token, us", run => run.CpuSeconds / run.Tokens * 1e6);
        Add("time a token of one stream (median), ms", run => Median(run.GapSeconds) * 1e3);
        Add("first token (median), ms", run => Median(run.FirstTokenSeconds) * 1e3);
        Add("of that not the engine's (median), ms", run => Median(run.BeyondSeconds) * 1e3);
        Add("the same, 95th percentile, ms", run => Percentile(run.BeyondSeconds, 0.95) * 1e3);
        AnsiConsole.Write(table);

        void Add(string what, Func<ServerRun, double> value)
        {
            double[] differences = [.. pairs.Select(pair => value(pair.Http) - value(pair.Engine)).Order()];
            table.AddRow(what, N(Median(pairs.Select(p => value(p.Http)))), N(Median(pairs.Select(p => value(p.Engine)))), N(Median(differences)), N(differences[0]), N(differences[^1]));
        }
    }

    private static double Median(IEnumerable<double> values) => Percentile(values, 0.5);

    private static double Percentile(IEnumerable<double> values, double share)
    {
        double[] sorted = [.. values.Order()];
        return sorted[Math.Min(sorted.Length - 1, (int)(sorted.Length * share))];
    }

    private static string N(double value) => value.ToString("F2", CultureInfo.InvariantCulture);
}
