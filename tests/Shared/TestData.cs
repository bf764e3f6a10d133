namespace Sluice.Testing;

/// <summary>Where the repository keeps what tests read.</summary>
public static class TestData
{
    private static readonly Lazy<string> LazyRoot = new(FindRoot);

    /// <summary>The repository's root folder.</summary>
    public static string Root => LazyRoot.Value;

    /// <summary>The embedded demonstration model.</summary>
    public static string DemoModel => Path.Combine(Root, "models", "demo");

    /// <summary>A file or folder under <c>tests/data</c>.</summary>
    public static string At(params string[] path) => Path.Combine([Root, "tests", "data", .. path]);

    private static string FindRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Sluice.slnx")))
                return folder.FullName;
        }

        throw new DirectoryNotFoundException($"no folder above {AppContext.BaseDirectory} holds Sluice.slnx");
    }
}
