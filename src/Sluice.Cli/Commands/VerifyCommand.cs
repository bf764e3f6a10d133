using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Cli.Terminal;
using Sluice.Models;
using Sluice.Models.Verification;
using Spectre.Console;

namespace Sluice.Cli.Commands;

/// <summary><c>sluice verify</c>: compares a model's arithmetic with what another implementation computed.</summary>
internal static class VerifyCommand
{
    private const double PreciseTolerance = 1e-3;
    private const double RoundedTolerance = 0.1;

    public static Command Create()
    {
        Option<string?> model = CommonOptions.Model();
        Option<FileInfo> expected = new("--expected") { HelpName = "FILE.safetensors", Required = true, Description = "input_ids, and any of logits, nll, argmax, hidden." };
        Option<double?> tolerance = new("--tolerance") { HelpName = "X", Description = "Largest error of logits and hidden states in units of their standard deviation (where numbers are rounded, on a card, with --activations fast or --kv-dtype bf16 or int8, their mean error), ten times the mean error of nll, and the fraction of positions whose argmax may differ where logits are not within twice X. Default: 1e-3; where numbers are rounded 0.1." };
        Option<int> chunk = CommonOptions.AtLeast(new("--chunk") { HelpName = "N", Description = "Tokens a step. Default: 512." }, 1);
        ComputeFlags compute = new(precise: true);
        Option<int> workers = CommonOptions.LoadWorkers();
        Command command = new("verify", "Compare a model's outputs with expected ones.") { model, expected, tolerance, chunk, workers };
        compute.AddTo(command);
        command.SetAction((parsed, cancellation) => Task.FromResult(Run(
            ModelPath.Resolve(parsed.GetValue(model)),
            parsed.GetRequiredValue(expected).FullName,
            parsed.GetValue(tolerance),
            parsed.GetValue(chunk),
            compute.Read(parsed),
            parsed.GetValue(workers),
            cancellation)));
        return command;
    }

    private static int Run(string folder, string file, double? asked, int chunk, Compute compute, int workers, CancellationToken cancellation)
    {
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        ExpectedOutputs expected = ExpectedOutputs.Read(file, checkpoint.Config);
        using IBackend backend = compute.Open(checkpoint);
        LoadDisplay display = new("loading");
        long start = Stopwatch.GetTimestamp();
        using LanguageModel model = LanguageModel.Load(checkpoint, backend, expected.Options(chunk) with { LoadWorkers = workers }, display, cancellation);
        display.Finish(checkpoint.ByteLength, Stopwatch.GetElapsedTime(start));
        PackedWeightsDisplay.Finish(backend, cancellation);
        StepDisplay steps = new("verifying", expected.InputIds.Length);
        VerificationReport report = Verifier.Run(model, expected, chunk, steps, cancellation);
        steps.Finish();
        bool isRounded = compute.IsRounded;
        double tolerance = asked ?? (isRounded ? RoundedTolerance : PreciseTolerance);
        bool passes = report.Passes(tolerance, isRounded);
        Print(report, backend.Name, tolerance, isRounded, passes);
        return passes ? ExitCodes.Success : ExitCodes.Failure;
    }

    private static void Print(VerificationReport report, string backend, double tolerance, bool isRounded, bool passes)
    {
        Table table = new Table().Border(TableBorder.Simple)
            .AddColumn("compared").AddColumn("numbers", c => c.RightAligned()).AddColumn("max error", c => c.RightAligned())
            .AddColumn("mean error", c => c.RightAligned()).AddColumn("max / std", c => c.RightAligned()).AddColumn("mean / std", c => c.RightAligned());
        foreach (Comparison? row in new[] { report.Logits, report.LastLogits, report.NegativeLogLikelihood }.Concat(report.Hidden))
        {
            if (row is not null)
                table.AddRow(row.Name, row.Count.ToString("N0", CultureInfo.InvariantCulture), Number(row.MaxError), Number(row.MeanError), Number(row.RelativeMaxError), Number(row.RelativeMeanError));
        }

        AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"{report.Tokens} tokens on {backend}");
        AnsiConsole.Write(table);
        if (report.NegativeLogLikelihood is { } nll)
            AnsiConsole.WriteLine(string.Create(CultureInfo.InvariantCulture, $"perplexity {Math.Exp(nll.Mean + nll.MeanDifference):F4}, expected {Math.Exp(nll.Mean):F4} ({Math.Exp(nll.MeanDifference) - 1:+0.000%;-0.000%})"));
        if (report.ArgmaxAgreement is { } agreement)
            AnsiConsole.WriteLine(string.Create(CultureInfo.InvariantCulture, $"argmax agreement {agreement:P3}{WidestGap(report)}"));
        if (report.Hidden.Count > 0)
            AnsiConsole.WriteLine(report.FirstDeparture(tolerance, isRounded) is { } layer ? $"first departure: {layer.Name}" : "no layer departs");
        AnsiConsole.MarkupLine(passes ? "[green]agrees[/]" : string.Create(CultureInfo.InvariantCulture, $"[red]departs beyond the tolerance of {tolerance:G3}[/]"));
    }

    // Of positions that differ, by how much the expected token should have been likelier, if logits are known.
    private static string WidestGap(VerificationReport report) => report is { ArgmaxGaps: [_, ..] gaps, Logits: { } logits }
        ? string.Create(CultureInfo.InvariantCulture, $", elsewhere preferred by {gaps.Max() / logits.StandardDeviation:F2} std at most")
        : "";

    private static string Number(double value) => value.ToString("0.00e+00", CultureInfo.InvariantCulture);
}
