using System.Diagnostics;

namespace Sluice.Cli.Tests;

/// <summary>What a run of the program left behind.</summary>
internal sealed record ProgramRun(int ExitCode, string Output, string Errors);

/// <summary>Runs the program as a user does: a process of its own, with its demonstration model beside it.</summary>
internal static class SluiceProgram
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "sluice.dll");

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    public static async Task<ProgramRun> RunAsync(params string[] arguments) => await RunWithInputAsync("", arguments);

    public static async Task<ProgramRun> RunWithInputAsync(string input, params string[] arguments) => await RunAsync(Start(arguments), input);

    /// <summary>Runs it where no file may become larger than <paramref name="kibibytes"/>: writing on is an error, as on a full disk, that not even root is spared.</summary>
    public static async Task<ProgramRun> RunWithFileLimitAsync(int kibibytes, params string[] arguments)
    {
        // The kernel's signal is ignored, so that the error itself comes. The runtime maps code twice through a file far larger than the limit, unless told not to.
        ProcessStartInfo start = StartInfo("bash");
        start.Environment["DOTNET_EnableWriteXorExecute"] = "0";
        foreach (string argument in (ReadOnlySpan<string>)["-c", $"trap '' XFSZ; ulimit -f {kibibytes}; exec dotnet \"$@\"", "bash", Program, .. arguments])
            start.ArgumentList.Add(argument);
        return await RunAsync(Process.Start(start) ?? throw new InvalidOperationException("the program did not start"), "");
    }

    private static async Task<ProgramRun> RunAsync(Process started, string input)
    {
        using Process process = started;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        using CancellationTokenSource limit = new(Patience);
        await process.WaitForExitAsync(limit.Token);
        return new ProgramRun(process.ExitCode, await output, await errors);
    }

    public static Process Start(params string[] arguments)
    {
        ProcessStartInfo start = StartInfo("dotnet");
        start.ArgumentList.Add(Program);
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        return Process.Start(start) ?? throw new InvalidOperationException("the program did not start");
    }

    private static ProcessStartInfo StartInfo(string file) => new(file)
    {
        UseShellExecute = false,
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
        RedirectStandardError = true,
    };
}
