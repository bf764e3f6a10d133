using System.Xml.Linq;

namespace Sluice.Tests.Repository;

/// <summary>The rules of the architecture that a compiler does not check.</summary>
public sealed class LayeringTests
{
    // Each project knows only those before it.
    private static readonly string[] Order =
    [
        "Sluice.Core", "Sluice.Memory", "Sluice.Checkpoints", "Sluice.Text", "Sluice.Constraints", "Sluice.Backends", "Sluice.Cpu", "Sluice.Cuda",
        "Sluice.Models", "Sluice.Caching", "Sluice.Engine", "Sluice.Extensions.AI", "Sluice.Server", "Sluice.Router", "Sluice.Cli",
    ];

    private static readonly string[] MayBeUnsafe = ["Sluice.Memory", "Sluice.Cpu", "Sluice.Cuda"];

    [Fact]
    public void ProjectsReferenceOnlyThoseBeforeThem()
    {
        List<string> wrong = [];
        foreach (string file in RepositoryRoot.Files("src", "*.csproj"))
        {
            string name = Path.GetFileNameWithoutExtension(file);
            int own = Array.IndexOf(Order, name);
            Assert.True(own >= 0, $"{name} is not in the architecture's order");
            foreach (XElement reference in XDocument.Load(file).Descendants("ProjectReference"))
            {
                string target = Path.GetFileNameWithoutExtension(reference.Attribute("Include")!.Value);
                if (Array.IndexOf(Order, target) >= own)
                    wrong.Add($"{name} -> {target}");
            }
        }

        Assert.Empty(wrong);
    }

    [Fact]
    public void NothingAboveTheBackendsButTheProgramNamesADevice()
    {
        string[] wrong =
        [
            .. RepositoryRoot.Files("src", "*.csproj")
                .Where(file => Array.IndexOf(Order, Path.GetFileNameWithoutExtension(file)) > Array.IndexOf(Order, "Sluice.Cuda"))
                .Where(file => Path.GetFileNameWithoutExtension(file) is not ("Sluice.Cli" or "Sluice.Extensions.AI"))
                .Where(file => XDocument.Load(file).Descendants("ProjectReference").Any(r => r.Attribute("Include")!.Value.Contains("Sluice.Cpu", StringComparison.Ordinal) || r.Attribute("Include")!.Value.Contains("Sluice.Cuda", StringComparison.Ordinal)))
                .Select(RepositoryRoot.Relative),
        ];
        Assert.Empty(wrong);
    }

    [Fact]
    public void OnlyMemoryAndDevicesAreUnsafe()
    {
        string[] wrong =
        [
            .. RepositoryRoot.Files("src", "*.csproj")
                .Where(file => File.ReadAllText(file).Contains("AllowUnsafeBlocks", StringComparison.Ordinal))
                .Select(file => Path.GetFileNameWithoutExtension(file)!)
                .Except(MayBeUnsafe, StringComparer.Ordinal),
        ];
        Assert.Empty(wrong);
    }

    [Fact]
    public void SourceFilesStaySmall()
    {
        string[] longest =
        [
            .. RepositoryRoot.Files("src", "*.cs")
                .Select(file => (File: RepositoryRoot.Relative(file), Lines: File.ReadLines(file).Count()))
                .Where(entry => entry.Lines > 500)
                .Select(entry => $"{entry.File}: {entry.Lines} lines"),
        ];
        Assert.Empty(longest);
    }
}
