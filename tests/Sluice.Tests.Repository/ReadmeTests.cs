namespace Sluice.Tests.Repository;

/// <summary>What the README promises at its top can be run as written.</summary>
public sealed class ReadmeTests
{
    private static string Readme => File.ReadAllText(Path.Combine(RepositoryRoot.Path, "README.md"));

    [Fact]
    public void TheTwoCommandsStandNearTheTop()
    {
        string[] top = [.. Readme.Split('\n').Take(40)];
        Assert.Contains(top, line => line.StartsWith("dotnet run --project src/Sluice.Cli -c Release -- chat", StringComparison.Ordinal));
        Assert.Contains(top, line => line.StartsWith("dotnet test -c Release", StringComparison.Ordinal));
        Assert.True(File.Exists(Path.Combine(RepositoryRoot.Path, "src/Sluice.Cli/Sluice.Cli.csproj")));
    }

    [Fact]
    public void EveryCommandOfTheProgramIsDocumented()
    {
        string page = File.ReadAllText(Path.Combine(RepositoryRoot.Path, "docs", "cli.md"));
        string[] missing =
        [
            .. RepositoryRoot.Files("src/Sluice.Cli/Commands", "*Command.cs")
                .Select(file => Path.GetFileNameWithoutExtension(file)!.Replace("Command", "", StringComparison.Ordinal))
                .Select(name => string.Concat(name.Select((c, i) => char.IsUpper(c) ? $"{(i > 0 ? "-" : "")}{char.ToLowerInvariant(c)}" : $"{c}")))
                .Where(name => !page.Contains($"## sluice {name}", StringComparison.Ordinal)),
        ];
        Assert.Empty(missing);
    }
}
