using System.Collections.Immutable;
using System.Reflection;
using System.Runtime.Loader;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Emit;
using Sluice.Caching.Properties.Tests.Fuzz;

namespace Sluice.Caching.Properties.Tests.Mutation;

/// <summary>One change of one source file.</summary>
/// <param name="File">Path inside the library, without extension.</param>
/// <param name="Find">Text that occurs there exactly once.</param>
/// <param name="Replace">What stands there instead.</param>
public sealed record Edit(string File, string Find, string Replace);

/// <summary>A planted bug.</summary>
/// <param name="Name">What is wrong, in words.</param>
/// <param name="Edits">How it got there.</param>
public sealed record Mutant(string Name, params Edit[] Edits)
{
    public override string ToString() => Name;
}

/// <summary>
/// Compiles the library's own sources, changed, and runs the property test of this assembly against the result: the product has no
/// hook for bugs, and a mutant whose place has moved fails to be planted rather than to be caught.
/// </summary>
internal static class Laboratory
{
    private const string ProjectFile = """
        global using System;
        global using System.Collections.Generic;
        global using System.IO;
        global using System.Linq;
        global using System.Threading;
        global using System.Threading.Tasks;
        [assembly: System.Runtime.CompilerServices.InternalsVisibleTo("Sluice.Caching.Properties.Tests")]
        """;

    private const string Library = "Sluice.Caching";

    private static readonly Lazy<ImmutableDictionary<string, string>> Sources = new(ReadSources);
    private static readonly Lazy<CSharpCompilation> Sound = new(CompileSound);

    /// <summary>Runs seeds until one fails; returns its message, or null if all pass.</summary>
    public static string? Run(Mutant mutant, int seeds, int operations)
    {
        CSharpCompilation compilation = Sound.Value;
        foreach (IGrouping<string, Edit> edits in mutant.Edits.GroupBy(x => x.File, StringComparer.Ordinal))
        {
            string path = $"{edits.Key}.cs";
            string source = Sources.Value[path];
            foreach (Edit edit in edits)
            {
                int at = source.IndexOf(edit.Find, StringComparison.Ordinal);
                if (at < 0 || source.IndexOf(edit.Find, at + 1, StringComparison.Ordinal) >= 0)
                    throw new InvalidOperationException($"{mutant.Name}: expected once in {path}: {edit.Find}");
                source = source.Remove(at, edit.Find.Length).Insert(at, edit.Replace);
            }

            SyntaxTree old = compilation.SyntaxTrees.Single(x => string.Equals(x.FilePath, path, StringComparison.Ordinal));
            compilation = compilation.ReplaceSyntaxTree(old, Parse(source, path));
        }

        using var image = new MemoryStream();
        EmitResult emitted = compilation.Emit(image);
        if (!emitted.Success)
            throw new InvalidOperationException($"{mutant.Name}: {string.Join("; ", emitted.Diagnostics.Where(x => x.Severity == DiagnosticSeverity.Error))}");
        return Execute(image, seeds, operations);
    }

    private static string? Execute(MemoryStream image, int seeds, int operations)
    {
        image.Position = 0;
        var execute = new MutantContext(image)
            .LoadFromAssemblyPath(typeof(CacheRun).Assembly.Location)
            .GetType(typeof(CacheRun).FullName!, throwOnError: true)!
            .GetMethod(nameof(CacheRun.Execute), BindingFlags.Public | BindingFlags.Static)!;
        for (int seed = 1; seed <= seeds; seed++)
        {
            try
            {
                _ = execute.Invoke(null, [(ulong)seed, operations]);
            }
            catch (TargetInvocationException e)
            {
                return e.InnerException!.Message;
            }
        }

        return null;
    }

    private static CSharpCompilation CompileSound()
    {
        string[] platform = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator);
        IEnumerable<MetadataReference> references = platform
            .Where(x => Path.GetFileName(x) is { } name && (name.StartsWith("System.", StringComparison.Ordinal) || name is "Sluice.Core.dll"))
            .Select(x => MetadataReference.CreateFromFile(x));
        return CSharpCompilation.Create(
            Library,
            Sources.Value.Select(x => Parse(x.Value, x.Key)).Append(Parse(ProjectFile, "project.cs")),
            references,
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, optimizationLevel: OptimizationLevel.Release, nullableContextOptions: NullableContextOptions.Enable));
    }

    private static SyntaxTree Parse(string source, string path) =>
        CSharpSyntaxTree.ParseText(source, new CSharpParseOptions(LanguageVersion.Latest), path);

    private static ImmutableDictionary<string, string> ReadSources()
    {
        Assembly tests = typeof(Laboratory).Assembly;
        ImmutableDictionary<string, string>.Builder sources = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (string name in tests.GetManifestResourceNames().Where(x => x.EndsWith(".cs", StringComparison.Ordinal)))
        {
            using var reader = new StreamReader(tests.GetManifestResourceStream(name)!);
            sources.Add(name.Replace('\\', '/'), reader.ReadToEnd());
        }

        return sources.ToImmutable();
    }

    /// <summary>
    /// Where this assembly's second copy finds the mutant instead of the library. Not collectible: code that may be unloaded is
    /// compiled without tiers, which costs more than the mutants run.
    /// </summary>
    private sealed class MutantContext(MemoryStream image) : AssemblyLoadContext("mutant")
    {
        protected override Assembly? Load(AssemblyName assemblyName) =>
            string.Equals(assemblyName.Name, Library, StringComparison.Ordinal) ? LoadFromStream(image) : null;
    }
}
