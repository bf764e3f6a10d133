using System.Collections.Immutable;
using System.Globalization;
using System.Reflection;
using System.Runtime.Loader;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Emit;
using Microsoft.CodeAnalysis.Text;
using Sluice.Caching.Tests.Fuzz;

namespace Sluice.Caching.Tests.Mutation;

/// <summary>One change of one source file.</summary>
/// <param name="File">Path inside the library, without extension.</param>
/// <param name="Find">Text that occurs there exactly once, inside a method.</param>
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
/// Compiles the library's own sources with every planted bug in them, and runs the property test of this assembly against the
/// result: the product has no hook for bugs, and one whose place has moved fails to be planted rather than to be caught.
/// <para>
/// Compiling once is what makes many bugs affordable: a changed method becomes a method beside the sound one, which asks a switch
/// at its start which of them this thread is to run.
/// </para>
/// </summary>
internal sealed class Laboratory
{
    private const string Library = "Sluice.Caching";
    private const string SwitchType = "PlantedBug";
    private const string SwitchField = "Number";

    private const string ProjectFile = $$"""
        global using System;
        global using System.Collections.Generic;
        global using System.IO;
        global using System.Linq;
        global using System.Threading;
        global using System.Threading.Tasks;
        [assembly: System.Runtime.CompilerServices.InternalsVisibleTo("Sluice.Caching.Tests")]

        /// <summary>The bug this thread runs with; 0 for none.</summary>
        public static class {{SwitchType}}
        {
            [ThreadStatic]
            public static int {{SwitchField}};
        }
        """;

    private readonly ImmutableArray<Mutant> _mutants;
    private readonly Action<int> _select;
    private readonly MethodInfo _execute;

    /// <summary>Plants all of <paramref name="mutants"/> and compiles.</summary>
    public Laboratory(IEnumerable<Mutant> mutants)
    {
        _mutants = [.. mutants];
        IEnumerable<SyntaxTree> trees = ReadSources().Select(x => Parse(Plant(x.Key, x.Value), x.Key)).Append(Parse(ProjectFile, "project.cs"));
        using var image = new MemoryStream();
        EmitResult emitted = CSharpCompilation.Create(Library, trees, References(), new CSharpCompilationOptions(
            OutputKind.DynamicallyLinkedLibrary, optimizationLevel: OptimizationLevel.Release, nullableContextOptions: NullableContextOptions.Enable)).Emit(image);
        if (!emitted.Success)
            throw new InvalidOperationException(string.Join("; ", emitted.Diagnostics.Where(x => x.Severity == DiagnosticSeverity.Error)));

        image.Position = 0;
        var context = new MutantContext(image);
        _execute = context.LoadFromAssemblyPath(typeof(CacheRun).Assembly.Location)
            .GetType(typeof(CacheRun).FullName!, throwOnError: true)!
            .GetMethod(nameof(CacheRun.Execute), BindingFlags.Public | BindingFlags.Static)!;
        FieldInfo number = context.LoadFromAssemblyName(new AssemblyName(Library)).GetType(SwitchType, throwOnError: true)!.GetField(SwitchField)!;
        _select = x => number.SetValue(null, x);
    }

    /// <summary>Runs seeds with a planted bug, or with none, until one fails; returns its message, or null if all pass.</summary>
    public string? Run(Mutant? mutant, int seeds, int operations)
    {
        _select(mutant is null ? 0 : _mutants.IndexOf(mutant) + 1);
        try
        {
            for (int seed = 1; seed <= seeds; seed++)
                _ = _execute.Invoke(null, [(ulong)seed, operations]);
            return null;
        }
        catch (TargetInvocationException e)
        {
            return e.InnerException!.Message;
        }
        finally
        {
            _select(0);
        }
    }

    /// <summary>Gives every method that some bug changes its changed twins, and the switch between them.</summary>
    private string Plant(string path, string source)
    {
        var changes = new List<TextChange>();
        SyntaxNode sound = Parse(source, path).GetRoot();
        for (int i = 0; i < _mutants.Length; i++)
        {
            Edit[] edits = [.. _mutants[i].Edits.Where(x => string.Equals(x.File + ".cs", path, StringComparison.Ordinal))];
            foreach (IGrouping<MethodDeclarationSyntax, Edit> method in edits.GroupBy(x => MethodOf(sound, source, x)))
            {
                string twin = method.Key.ToString();
                foreach (Edit edit in method)
                    twin = twin.Replace(edit.Find, edit.Replace, StringComparison.Ordinal);
                string name = string.Create(CultureInfo.InvariantCulture, $"{method.Key.Identifier.Text}_{i + 1}");
                twin = twin.Replace($" {method.Key.Identifier.Text}(", $" {name}(", StringComparison.Ordinal)
                    .Replace($" {method.Key.Identifier.Text}<", $" {name}<", StringComparison.Ordinal);
                changes.Add(new TextChange(new TextSpan(method.Key.Span.End, 0), "\n\n" + twin));
                changes.Add(Switch(method.Key, name, i + 1));
            }
        }

        // Changes at one place keep the order in which they were made.
        return SourceText.From(source).WithChanges(changes.OrderBy(x => x.Span.Start)).ToString();
    }

    /// <summary>The call of a changed twin, at the start of the sound method's body.</summary>
    private static TextChange Switch(MethodDeclarationSyntax method, string twin, int number)
    {
        IEnumerable<string> arguments = method.ParameterList.Parameters.Select(x =>
            string.Join(' ', x.Modifiers.Where(y => y.Kind() is SyntaxKind.RefKeyword or SyntaxKind.OutKeyword or SyntaxKind.InKeyword).Select(y => y.Text).Append(x.Identifier.Text)));
        string call = $"{twin}({string.Join(", ", arguments)})";
        string test = string.Create(CultureInfo.InvariantCulture, $"{SwitchType}.{SwitchField} == {number}");
        bool isVoid = method.ReturnType is PredefinedTypeSyntax { Keyword.RawKind: (int)SyntaxKind.VoidKeyword };
        if (method.Body is { } body)
        {
            string choice = isVoid ? $" if ({test}) {{ {call}; return; }}" : $" if ({test}) return {call};";
            return new TextChange(new TextSpan(body.OpenBraceToken.Span.End, 0), choice);
        }

        return isVoid
            ? throw new InvalidOperationException($"{method.Identifier.Text}: a void method needs a block body to be planted in")
            : new TextChange(new TextSpan(method.ExpressionBody!.ArrowToken.Span.End, 0), $" {test} ? {call} :");
    }

    private static MethodDeclarationSyntax MethodOf(SyntaxNode root, string source, Edit edit)
    {
        int at = source.IndexOf(edit.Find, StringComparison.Ordinal);
        if (at < 0 || source.IndexOf(edit.Find, at + 1, StringComparison.Ordinal) >= 0)
            throw new InvalidOperationException($"expected once in {edit.File}: {edit.Find}");
        return root.FindNode(new TextSpan(at + (edit.Find.Length / 2), 1), getInnermostNodeForTie: true).FirstAncestorOrSelf<MethodDeclarationSyntax>()
            is { } method && method.Span.Contains(new TextSpan(at, edit.Find.TrimEnd().Length))
                ? method
                : throw new InvalidOperationException($"expected inside one method of {edit.File}: {edit.Find}");
    }

    private static IEnumerable<MetadataReference> References() =>
        ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Where(x => Path.GetFileName(x) is { } name && (name.StartsWith("System.", StringComparison.Ordinal) || name is "Sluice.Core.dll"))
            .Select(x => MetadataReference.CreateFromFile(x));

    private static SyntaxTree Parse(string source, string path) =>
        CSharpSyntaxTree.ParseText(source, new CSharpParseOptions(LanguageVersion.Latest), path);

    private static ImmutableDictionary<string, string> ReadSources()
    {
        Assembly tests = typeof(Laboratory).Assembly;
        ImmutableDictionary<string, string>.Builder sources = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (string name in tests.GetManifestResourceNames().Where(x => x.EndsWith(".cs", StringComparison.Ordinal)))
        {
            using var reader = new StreamReader(tests.GetManifestResourceStream(name)!);
            sources.Add(name.Replace('\\', '/'), reader.ReadToEnd().ReplaceLineEndings("\n"));
        }

        return sources.ToImmutable();
    }

    /// <summary>Where this assembly's second copy finds the planted library instead of the product's.</summary>
    private sealed class MutantContext(MemoryStream image) : AssemblyLoadContext("planted")
    {
        private Assembly? _planted;

        protected override Assembly? Load(AssemblyName assemblyName) =>
            string.Equals(assemblyName.Name, Library, StringComparison.Ordinal) ? _planted ??= LoadFromStream(image) : null;
    }
}
