using System.Runtime.CompilerServices;

namespace Sluice.Checkpoints.Tests;

/// <summary>Small real checkpoints that are part of the repository.</summary>
internal static class TestData
{
    public static readonly string[] RandomCheckpoints = ["next-moe", "next-mixed-mlp", "qwen35-dense", "qwen35-moe", "qwen3-dense"];

    public static string Repository { get; } = FindRepository();

    public static string RandomCheckpoint(string name) => Path.Combine(Repository, "tests", "data", "random", name);

    public static string Demo => Path.Combine(Repository, "models", "demo");

    private static string FindRepository([CallerFilePath] string thisFile = "")
    {
        // Deterministic builds rewrite source paths, so the running program's own place is tried first.
        foreach (string start in (string[])[AppContext.BaseDirectory, Path.GetDirectoryName(thisFile)!])
        {
            for (string? folder = start; folder is not null; folder = Path.GetDirectoryName(folder))
            {
                if (File.Exists(Path.Combine(folder, "Sluice.slnx")))
                    return folder;
            }
        }

        throw new InvalidOperationException("the tests must run inside the repository");
    }
}
