using System.Globalization;
using BenchmarkDotNet.Running;
using Sluice.Bench.Micro;

// "overview [--threads N] [--filter TEXT] [--seconds S]" prints a table of kernels, "constraints [VOCABULARY]" one of constraints;
// anything else goes to BenchmarkDotNet.
if (args is ["constraints", .. string[] size])
{
    ConstraintCosts.Run(size is [string ids] ? int.Parse(ids, CultureInfo.InvariantCulture) : 150_000);
    return;
}

if (args is ["overview", .. string[] options])
{
    Overview.Run(
        Option("--threads") is { } threads ? int.Parse(threads, CultureInfo.InvariantCulture) : null,
        Option("--filter") ?? "",
        double.Parse(Option("--seconds") ?? "1", CultureInfo.InvariantCulture));
    return;

    string? Option(string name) => Array.IndexOf(options, name) is >= 0 and int at && at + 1 < options.Length ? options[at + 1] : null;
}

BenchmarkSwitcher.FromAssembly(typeof(KernelBenchmarks).Assembly).Run(args);
