using System.Globalization;
using Sluice.Core;

namespace Sluice.Checkpoints.Gguf;

/// <summary>
/// A model may be split over files <c>name-00001-of-00003.gguf</c>: the first holds the model's metadata, each its own number
/// (<c>split.no</c>, from 0) and how many there are (<c>split.count</c>).
/// </summary>
internal static class GgufFiles
{
    private const int MaxFiles = 1000;
    private const string Extension = ".gguf";

    /// <summary>The other files of a model, given its first and what that says.</summary>
    /// <exception cref="CheckpointException">The file is not the first, is named otherwise, or others are missing.</exception>
    internal static IReadOnlyList<string> Others(string path, GgufMetadata metadata)
    {
        int count = metadata.Integer("split.count", 0, MaxFiles) ?? 1;
        if (count <= 1)
            return [];
        string name = Path.GetFileName(path);
        string ending = string.Create(CultureInfo.InvariantCulture, $"-00001-of-{count:D5}{Extension}");
        if (metadata.Integer("split.no", 0, MaxFiles) != 0 || !name.EndsWith(ending, StringComparison.Ordinal))
            throw new CheckpointException($"{name}: is one of {count} files of a model; open the first, whose name ends in {ending}");
        string start = path[..^ending.Length];
        string[] others = [.. Enumerable.Range(2, count - 1).Select(i => string.Create(CultureInfo.InvariantCulture, $"{start}-{i:D5}-of-{count:D5}{Extension}"))];
        string[] missing = [.. others.Where(other => !File.Exists(other)).Select(Path.GetFileName)!];
        return missing.Length == 0
            ? others
            : throw Checkpoint.Several(name, [.. missing.Select(other => $"its {Printable.Quote(other)} is not there")]);
    }

    /// <summary>Refuses a file that is not the one its name promises.</summary>
    internal static void CheckOther(string path, int index, int count, GgufMetadata metadata)
    {
        if (metadata.Integer("split.no", 0, MaxFiles) != index || metadata.Integer("split.count", 0, MaxFiles) != count)
            throw new CheckpointException($"{Path.GetFileName(path)}: expected split.no {index} and split.count {count}, found others");
    }
}
