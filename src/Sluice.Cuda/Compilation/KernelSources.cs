using System.Collections.Concurrent;
using System.Reflection;

namespace Sluice.Cuda.Compilation;

/// <summary>The kernels' sources, which travel inside the assembly.</summary>
internal static class KernelSources
{
    private static readonly ConcurrentDictionary<string, string> Texts = new(StringComparer.Ordinal);

    /// <summary>Headers, in a fixed order.</summary>
    public static IReadOnlyList<string> Headers { get; } =
        [.. Assembly.GetExecutingAssembly().GetManifestResourceNames().Where(name => name.EndsWith(".cuh", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];

    /// <summary>A source or header.</summary>
    public static string Text(string file) => Texts.GetOrAdd(file, static file =>
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(file)
            ?? throw new ArgumentException($"no kernel source '{file}'", nameof(file));
        using StreamReader reader = new(stream);
        return reader.ReadToEnd();
    });
}
