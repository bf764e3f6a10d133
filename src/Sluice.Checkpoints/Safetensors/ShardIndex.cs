using System.Buffers;
using System.Text.Json;
using Sluice.Checkpoints.Configuration;
using Sluice.Core;

namespace Sluice.Checkpoints.Safetensors;

/// <summary>
/// <c>model.safetensors.index.json</c>: its <c>weight_map</c> says which file of the folder holds each tensor.
/// </summary>
/// <remarks>
/// A file name must be plain: no separator, no drive, no <c>..</c>, so that an index from a stranger can only name files of its own
/// folder. What such a name links to is not examined: the Hugging Face cache is made of links
/// (<c>snapshots/x/model.safetensors -> ../../blobs/hash</c>), downloads cannot create them, and who can write links into the folder can
/// write anything there.
/// </remarks>
internal sealed class ShardIndex
{
    private const int MaxFileNameLength = 255;

    private static readonly SearchValues<char> NotInNames = SearchValues.Create("/\\:*?\"<>|");

    private ShardIndex(IReadOnlyList<string> files, IReadOnlyDictionary<string, int> tensors)
    {
        Files = files;
        Tensors = tensors;
    }

    /// <summary>The shards' file names, in order of first mention.</summary>
    internal IReadOnlyList<string> Files { get; }

    /// <summary>For each tensor, its place in <see cref="Files"/>.</summary>
    internal IReadOnlyDictionary<string, int> Tensors { get; }

    internal static ShardIndex Parse(ReadOnlySpan<byte> json, string file)
    {
        try
        {
            JsonFields top = JsonFields.Parse(json, file, out JsonDocument document);
            using (document)
            {
                return Read(top, file);
            }
        }
        catch (ConfigurationException e)
        {
            throw new CheckpointException(e.Message, inner: e);
        }
    }

    private static ShardIndex Read(JsonFields top, string file)
    {
        JsonFields map = top.Object("weight_map") ?? throw top.Missing("weight_map");
        var files = new List<string>();
        var places = new Dictionary<string, int>(StringComparer.Ordinal);
        var tensors = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach ((string tensor, string shard) in map.StringPairs())
        {
            if (!places.TryGetValue(shard, out int place))
            {
                CheckPlainName(shard, file);
                place = files.Count;
                places.Add(shard, place);
                files.Add(shard);
            }

            tensors.Add(tensor, place);
        }

        return files.Count > 0 ? new ShardIndex(files, tensors) : throw top.Error("weight_map", "is empty");
    }

    private static void CheckPlainName(string name, string file)
    {
        bool plain = name.Length is > 0 and <= MaxFileNameLength
            && name.EndsWith(".safetensors", StringComparison.Ordinal)
            && !name.StartsWith('.')
            && name.AsSpan().IndexOfAny(NotInNames) < 0
            && !name.Any(char.IsControl);
        if (!plain)
        {
            throw new CheckpointException(
                $"{file}: shard {Printable.Quote(name)} is not the plain name of a .safetensors file in the checkpoint's folder");
        }
    }
}
