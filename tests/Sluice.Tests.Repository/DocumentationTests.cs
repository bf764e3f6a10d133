using System.Text.RegularExpressions;

namespace Sluice.Tests.Repository;

/// <summary>The documentation points at things that exist and covers every project.</summary>
public sealed partial class DocumentationTests
{
    [Fact]
    public void EveryRelativeLinkLeadsToAFile()
    {
        List<string> broken = [];
        foreach (string file in RepositoryRoot.Files(".", "*.md"))
        {
            foreach (Match link in Link().Matches(File.ReadAllText(file)))
            {
                string target = link.Groups["target"].Value.Split('#')[0];
                if (target.Length == 0 || target.Contains("://", StringComparison.Ordinal) || target.StartsWith("mailto:", StringComparison.Ordinal))
                    continue;
                if (!Path.Exists(Path.Combine(Path.GetDirectoryName(file)!, target)))
                    broken.Add($"{RepositoryRoot.Relative(file)}: {target}");
            }
        }

        Assert.Empty(broken);
    }

    [Fact]
    public void TheArchitecturePageNamesEveryProject()
    {
        string page = File.ReadAllText(Path.Combine(RepositoryRoot.Path, "docs", "architecture.md"));
        string[] unnamed = [.. RepositoryRoot.Files("src", "*.csproj").Select(Path.GetFileNameWithoutExtension).Where(name => !page.Contains($"`{name}`", StringComparison.Ordinal))!];
        Assert.Empty(unnamed);
    }

    [Fact]
    public void EveryDocumentationPageIsReachableFromTheIndex()
    {
        string index = File.ReadAllText(Path.Combine(RepositoryRoot.Path, "docs", "README.md"));
        string[] orphans = [.. RepositoryRoot.Files("docs", "*.md").Select(file => Path.GetFileName(file)!).Where(name => name != "README.md" && !index.Contains($"]({name})", StringComparison.Ordinal))];
        Assert.Empty(orphans);
    }

    [GeneratedRegex(@"(?<!`)\[[^\]\n]*\]\((?<target>[^)\s]+)\)", RegexOptions.None, matchTimeoutMilliseconds: 10_000)]
    private static partial Regex Link();
}
