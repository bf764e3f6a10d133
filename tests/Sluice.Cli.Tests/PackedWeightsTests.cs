using System.Diagnostics;
using System.Text;
using Sluice.Testing;

namespace Sluice.Cli.Tests;

/// <summary><c>--packed-weights</c> as a user meets it: the first start writes, the next maps, and nothing that goes wrong with the file stops the program.</summary>
public sealed class PackedWeightsTests
{
    private static readonly string[] Generate = ["generate", "--prompt", "The", "--max-tokens", "8", "--temperature", "0", "--memory", "64MiB"];

    [Fact]
    public async Task The_second_start_maps_what_the_first_has_written()
    {
        using TemporaryFolder folder = new();
        ProgramRun plain = await SluiceProgram.RunAsync(Generate);
        Assert.DoesNotContain("packed weights", plain.Errors, StringComparison.Ordinal);
        ProgramRun first = await RunAsync(folder.At("kept"));
        string file = Assert.Single(Directory.GetFiles(folder.At("kept")));
        Assert.Contains($"written to {file}", first.Errors, StringComparison.Ordinal);
        ProgramRun second = await RunAsync(folder.At("kept"));
        Assert.Contains($"mapped from {file}", second.Errors, StringComparison.Ordinal);
        Assert.Equal(plain.Output, first.Output);
        Assert.Equal(plain.Output, second.Output);

        using (FileStream cut = File.OpenWrite(file))
            cut.SetLength(cut.Length / 2);
        ProgramRun third = await RunAsync(folder.At("kept"));
        Assert.Contains("packed anew", third.Errors, StringComparison.Ordinal);
        Assert.Equal(plain.Output, third.Output);
        Assert.Contains("mapped from", (await RunAsync(folder.At("kept"))).Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_that_cannot_be_written_is_a_warning()
    {
        using TemporaryFolder folder = new();
        await File.WriteAllTextAsync(folder.At("file"), "", TestContext.Current.CancellationToken);
        ProgramRun run = await RunAsync(folder.At("file/kept"));
        Assert.Contains("warning: packed weights are not kept in ", run.Errors, StringComparison.Ordinal);
        Assert.NotEmpty(run.Output);
    }

    [Fact]
    public async Task Two_programs_at_once_leave_one_good_file()
    {
        using TemporaryFolder folder = new();
        ProgramRun[] runs = await Task.WhenAll(RunAsync(folder.At("kept")), RunAsync(folder.At("kept")));
        Assert.Equal(runs[0].Output, runs[1].Output);
        Assert.Contains("mapped from", (await RunAsync(folder.At("kept"))).Errors, StringComparison.Ordinal);
        Assert.Single(Directory.GetFiles(folder.At("kept")));
    }

    /// <summary>A server answers while it writes.</summary>
    [Fact]
    public async Task A_server_writes_beside_its_work()
    {
        using TemporaryFolder folder = new();
        foreach (string expected in (string[])["written to", "mapped from"])
        {
            using Process process = SluiceProgram.Start("serve", "--port", "0", "--memory", "64MiB", "--packed-weights", folder.Path);
            try
            {
                Task<string> said = ReadUntilAsync(process.StandardError, expected);
                using var http = new HttpClient { BaseAddress = await ServeTests.AddressAsync(process, new StringBuilder()) };
                Assert.Equal(200, (int)(await http.GetAsync(new Uri("/health/ready", UriKind.Relative), TestContext.Current.CancellationToken)).StatusCode);
                Assert.Contains(folder.Path, await said, StringComparison.Ordinal);
            }
            finally
            {
                process.Kill();
            }
        }
    }

    private static async Task<ProgramRun> RunAsync(string where)
    {
        ProgramRun run = await SluiceProgram.RunAsync([.. Generate, "--packed-weights", where]);
        Assert.True(run.ExitCode == 0, run.Errors);
        return run;
    }

    private static async Task<string> ReadUntilAsync(StreamReader reader, string text)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        while (await reader.ReadLineAsync(patience.Token) is { } line)
        {
            if (line.Contains(text, StringComparison.Ordinal))
                return line;
        }

        return "";
    }
}
