using System.Buffers;
using System.Text.Json;
using System.Text.Unicode;
using Sluice.Core;

namespace Sluice.Checkpoints.Safetensors;

/// <summary>
/// <c>model.safetensors.index.json</c>: its <c>weight_map</c> says which file of the folder holds each tensor. The rest of the
/// file (<c>metadata</c>) says nothing that the shards do not.
/// </summary>
/// <remarks>
/// A file name must be plain: no separator, no drive, no <c>..</c>, so that an index from a stranger can only name files of its own
/// folder. What such a name links to is not examined: the Hugging Face cache is made of links
/// (<c>snapshots/x/model.safetensors -> ../../blobs/hash</c>), downloads cannot create them, and who can write links into the folder can
/// write anything there.
/// </remarks>
internal sealed class ShardIndex
{
    private const int MaxDepth = 32;
    private const int MaxFileNameLength = 255;

    private static readonly SearchValues<char> NotInNames = SearchValues.Create("/\\:*?\"<>|");

    private readonly string _file;
    private readonly List<string> _files = [];
    private readonly Dictionary<string, int> _places = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _tensors = new(StringComparer.Ordinal);

    private ShardIndex(string file) => _file = file;

    /// <summary>The shards' file names, in order of first mention.</summary>
    internal IReadOnlyList<string> Files => _files;

    /// <summary>For each tensor, its place in <see cref="Files"/>.</summary>
    internal IReadOnlyDictionary<string, int> Tensors => _tensors;

    /// <summary>Reads an index; <paramref name="file"/> is its name, for messages.</summary>
    /// <exception cref="CheckpointException">It is malformed, or names a file outside the folder.</exception>
    internal static ShardIndex Parse(ReadOnlySpan<byte> json, string file)
    {
        var index = new ShardIndex(file);
        if (!Utf8.IsValid(json))
            throw index.Broken("is not UTF-8");
        try
        {
            index.Read(json);
        }
        catch (JsonException e)
        {
            throw new CheckpointException($"{file}: is not valid JSON (line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1})", inner: e);
        }
        catch (InvalidOperationException e)
        {
            // The reader meets an escaped half of a surrogate pair: valid JSON, but no text.
            throw new CheckpointException($"{file}: a string is not valid Unicode", inner: e);
        }

        return index._files.Count > 0 ? index : throw index.Broken("weight_map is missing or empty");
    }

    private void Read(ReadOnlySpan<byte> text)
    {
        var json = new Utf8JsonReader(text, new JsonReaderOptions { MaxDepth = MaxDepth });
        json.Read();
        if (json.TokenType != JsonTokenType.StartObject)
            throw Broken("is not a JSON object");

        bool found = false;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (!json.ValueTextEquals("weight_map"u8))
            {
                json.Skip();
                continue;
            }

            if (found)
                throw Broken("weight_map appears twice");
            found = true;
            ReadWeightMap(ref json);
        }

        json.Read();
    }

    private void ReadWeightMap(ref Utf8JsonReader json)
    {
        json.Read();
        if (json.TokenType != JsonTokenType.StartObject)
            throw Broken("weight_map is not an object");
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            string tensor = json.GetString()!;
            json.Read();
            if (json.TokenType != JsonTokenType.String)
                throw Broken($"weight_map {Printable.Quote(tensor)} is not a string");
            if (!_tensors.TryAdd(tensor, PlaceOf(json.GetString()!)))
                throw Broken($"weight_map has {Printable.Quote(tensor)} twice");
            if (_tensors.Count > SafetensorsHeader.MaxTensors)
                throw Broken($"weight_map has more than {SafetensorsHeader.MaxTensors} tensors");
        }
    }

    private int PlaceOf(string shard)
    {
        if (_places.TryGetValue(shard, out int place))
            return place;
        if (!IsPlainName(shard))
            throw Broken($"shard {Printable.Quote(shard)} is not the plain name of a .safetensors file in the checkpoint's folder");
        _places.Add(shard, _files.Count);
        _files.Add(shard);
        return _files.Count - 1;
    }

    private static bool IsPlainName(string name) =>
        name.Length is > 0 and <= MaxFileNameLength
        && name.EndsWith(".safetensors", StringComparison.Ordinal)
        && !name.StartsWith('.')
        && !name.AsSpan().ContainsAny(NotInNames)
        && !name.Any(char.IsControl);

    private CheckpointException Broken(string problem) => new($"{_file}: {problem}");
}
