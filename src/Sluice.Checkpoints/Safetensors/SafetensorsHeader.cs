using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Unicode;
using Sluice.Core;

namespace Sluice.Checkpoints.Safetensors;

/// <summary>
/// The front of a safetensors file: 8 bytes with the little-endian length of a JSON object, the object (padded with spaces),
/// then the data. The object maps each tensor's name to its <c>dtype</c>, <c>shape</c> and <c>data_offsets</c> [begin, end)
/// in the data; <c>__metadata__</c> maps strings to strings. The tensors must cover the data exactly: no overlap, no hole, nothing
/// after the last. (https://github.com/huggingface/safetensors#format)
/// </summary>
/// <remarks>
/// Read from bytes that may come from anybody: every length is compared with the file's before it is used, sums and products
/// are checked, and nothing is allocated but what the header itself spells out. Keys that the specification does not know are
/// refused: they could only change what the data means.
/// </remarks>
internal ref struct SafetensorsHeader
{
    /// <summary>The specification's own limit.</summary>
    internal const long MaxHeaderBytes = 100_000_000;

    /// <summary>Bytes of the length in front.</summary>
    internal const int LengthBytes = 8;

    /// <summary>Dimensions a tensor may have; frameworks stop at 64, models at 5.</summary>
    internal const int MaxRank = 32;

    /// <summary>Fourteen times the tensors of the largest model here; bounds what a file of empty tensors can make us hold.</summary>
    internal const int MaxTensors = 1 << 20;

    /// <summary>Entries <c>__metadata__</c> may have; files in the wild have a few. They are kept only to find duplicates.</summary>
    internal const int MaxMetadata = 1 << 14;

    /// <summary>No tensor can be described in fewer bytes.</summary>
    private const int ShortestTensor = 48;

    private readonly string _file;
    private readonly int _shard;
    private readonly long _dataStart;
    private readonly long _dataLength;
    private readonly int _length;
    private readonly Dictionary<string, TensorInfo> _tensors;
    private readonly List<TensorInfo> _ordered;
    private Utf8JsonReader _json;
    private int[] _lastShape;
    private bool _sorted;

    private SafetensorsHeader(
        ReadOnlySpan<byte> header, string file, int shard, long dataStart, long dataLength, Dictionary<string, TensorInfo> tensors)
    {
        _file = file;
        _shard = shard;
        _dataStart = dataStart;
        _dataLength = dataLength;
        _tensors = tensors;
        _length = header.Length;
        _lastShape = [];
        _sorted = true;

        // Room for about what is coming, so that growing does not cost as much again.
        int likely = Math.Min(Math.Min(MaxTensors, header.Length / ShortestTensor), header.Count("\"dtype\""u8));
        _ordered = new List<TensorInfo>(likely);
        tensors.EnsureCapacity(tensors.Count + likely);
        _json = new Utf8JsonReader(header, new JsonReaderOptions { MaxDepth = 3 });
    }

    /// <summary>
    /// Bytes from the front of a file that <see cref="Parse"/> needs, given its first <see cref="LengthBytes"/>.
    /// </summary>
    /// <exception cref="CheckpointException">The length is not possible.</exception>
    internal static int Extent(ReadOnlySpan<byte> front, long fileLength, string file)
    {
        int extent = TryExtent(front, fileLength, file, out CheckpointException? problem);
        return problem is null ? extent : throw problem;
    }

    private static int TryExtent(ReadOnlySpan<byte> front, long fileLength, string file, out CheckpointException? problem)
    {
        ulong length = 0;
        if (fileLength < LengthBytes || front.Length < LengthBytes)
            problem = Broken(file, $"{fileLength} bytes are too few for a safetensors file");
        else if ((length = BinaryPrimitives.ReadUInt64LittleEndian(front)) > MaxHeaderBytes)
            problem = Broken(file, $"the header claims {length} bytes; the specification allows {MaxHeaderBytes}");
        else if ((long)length > fileLength - LengthBytes)
            problem = Broken(file, $"the header claims {length} bytes, and only {fileLength - LengthBytes} follow");
        else
            problem = null;
        return problem is null ? LengthBytes + (int)length : 0;
    }

    /// <summary>Reads a header and adds its tensors to <paramref name="tensors"/>.</summary>
    /// <param name="front">The first <see cref="Extent"/> bytes of the file, or more.</param>
    /// <param name="fileLength">Bytes of the whole file.</param>
    /// <param name="file">The file's name, for messages.</param>
    /// <param name="shard">What to file the tensors under.</param>
    /// <param name="tensors">Receives them; a name that is already there is an error.</param>
    /// <returns>The tensors of this file in the order of their data.</returns>
    /// <exception cref="CheckpointException">The header breaks the specification.</exception>
    internal static IReadOnlyList<TensorInfo> Parse(
        ReadOnlySpan<byte> front, long fileLength, string file, int shard, Dictionary<string, TensorInfo> tensors)
    {
        IReadOnlyList<TensorInfo> ordered = TryParse(front, fileLength, file, shard, tensors, out CheckpointException? problem);
        return problem is null ? ordered : throw problem;
    }

    /// <summary>As <see cref="Parse"/>, but returns the problem: throwing takes longer than all the rest, which matters to fuzzing.</summary>
    internal static IReadOnlyList<TensorInfo> TryParse(
        ReadOnlySpan<byte> front, long fileLength, string file, int shard, Dictionary<string, TensorInfo> tensors, out CheckpointException? problem)
    {
        int end = TryExtent(front, fileLength, file, out problem);
        if (problem is not null)
            return [];
        ReadOnlySpan<byte> header = front[LengthBytes..end];
        if (header.IsEmpty || header[0] != (byte)'{')
        {
            problem = Broken(file, "the header does not begin with '{'");
            return [];
        }

        if (!Utf8.IsValid(header))
        {
            problem = Broken(file, "the header is not UTF-8");
            return [];
        }

        var parser = new SafetensorsHeader(header.TrimEnd((byte)' '), file, shard, end, fileLength - end, tensors);
        try
        {
            parser.ReadTensors();
            parser.CheckCoverage();
        }
        catch (CheckpointException e)
        {
            problem = e;
        }
        catch (JsonException e)
        {
            problem = Broken(file, $"the header is not valid JSON (byte {e.BytePositionInLine})", e);
        }
        catch (InvalidOperationException e)
        {
            // The reader met an escaped half of a surrogate pair: valid JSON, but no text.
            problem = Broken(file, "a string of the header is not valid Unicode", e);
        }

        return parser._ordered;
    }

    private void ReadTensors()
    {
        _json.Read();
        bool metadata = false;
        while (_json.Read() && _json.TokenType == JsonTokenType.PropertyName)
        {
            if (_json.ValueTextEquals("__metadata__"u8))
            {
                if (metadata)
                    throw Broken("__metadata__ appears twice");
                metadata = true;
                ReadMetadata();
            }
            else
            {
                ReadTensor(_json.GetString()!);
            }
        }

        // Spaces are gone already. Other white space would be fine for JSON, but not for the specification.
        long end = _json.BytesConsumed;
        if (_json.Read() || end != _length)
            throw Broken("something other than spaces follows the object");
    }

    private void ReadMetadata()
    {
        _json.Read();
        if (_json.TokenType != JsonTokenType.StartObject)
            throw Broken("__metadata__ is not an object");

        HashSet<string>? keys = null;
        while (_json.Read() && _json.TokenType == JsonTokenType.PropertyName)
        {
            string key = _json.GetString()!;
            keys ??= new HashSet<string>(StringComparer.Ordinal);
            if (!keys.Add(key))
                throw Broken($"__metadata__ has {Quote(key)} twice");
            if (keys.Count > MaxMetadata)
                throw Broken($"__metadata__ has more than {MaxMetadata} entries");
            _json.Read();
            if (_json.TokenType != JsonTokenType.String)
                throw Broken($"__metadata__ {Quote(key)} is not a string");
        }
    }

    private void ReadTensor(string name)
    {
        if (_tensors.TryGetValue(name, out TensorInfo? other))
        {
            throw Broken(other.Shard == _shard
                ? $"tensor {Quote(name)} appears twice"
                : $"tensor {Quote(name)} is in another shard as well");
        }

        if (_ordered.Count == MaxTensors)
            throw Broken($"more than {MaxTensors} tensors");

        _json.Read();
        if (_json.TokenType != JsonTokenType.StartObject)
            throw Broken($"tensor {Quote(name)} is not an object");

        StoredType? type = null;
        int[]? shape = null;
        (long Begin, long End)? offsets = null;
        while (_json.Read() && _json.TokenType == JsonTokenType.PropertyName)
        {
            if (_json.ValueTextEquals("dtype"u8))
                type = type is null ? ReadType(name) : throw Twice(name, "dtype");
            else if (_json.ValueTextEquals("shape"u8))
                shape = shape is null ? ReadShape(name) : throw Twice(name, "shape");
            else if (_json.ValueTextEquals("data_offsets"u8))
                offsets = offsets is null ? ReadOffsets(name) : throw Twice(name, "data_offsets");
            else
                throw Broken($"tensor {Quote(name)} has a key that the specification does not know: {Quote(_json.GetString()!)}");
        }

        Add(
            name,
            type ?? throw Missing(name, "dtype"),
            shape ?? throw Missing(name, "shape"),
            offsets ?? throw Missing(name, "data_offsets"));
    }

    private void Add(string name, StoredType type, int[] shape, (long Begin, long End) offsets)
    {
        (long begin, long end) = offsets;
        if (begin > end || end > _dataLength)
            throw Broken($"tensor {Quote(name)}: data_offsets [{begin}, {end}] are not in the {_dataLength} bytes of data");

        if (BytesOf(type, shape) is not long bytes)
            throw Broken($"tensor {Quote(name)}: the size of {type.Name} {TensorPlace.Shape(shape)} is not a whole number of bytes below 2^63");
        if (bytes != end - begin)
            throw Broken($"tensor {Quote(name)}: {type.Name} {TensorPlace.Shape(shape)} takes {bytes} bytes, data_offsets span {end - begin}");

        var tensor = new TensorInfo(name, type.Type, shape, _shard, _dataStart + begin, bytes) { TypeName = type.Name };
        if (_ordered.Count > 0 && tensor.Offset < _ordered[^1].Offset)
            _sorted = false;
        _ordered.Add(tensor);
        _tensors.Add(name, tensor);
    }

    /// <summary>The tensors, in order of their data, must follow each other without overlap or hole from its start to its end.</summary>
    private readonly void CheckCoverage()
    {
        if (!_sorted)
        {
            _ordered.Sort(static (a, b) =>
                a.Offset != b.Offset ? a.Offset.CompareTo(b.Offset) : a.ByteLength.CompareTo(b.ByteLength));
        }

        long covered = _dataStart;
        foreach (TensorInfo tensor in _ordered)
        {
            if (tensor.Offset != covered)
            {
                throw Broken(tensor.Offset < covered
                    ? $"tensor {Quote(tensor.Name)} overlaps the one before it by {covered - tensor.Offset} bytes"
                    : $"{tensor.Offset - covered} bytes before tensor {Quote(tensor.Name)} belong to no tensor");
            }

            covered += tensor.ByteLength;
        }

        long rest = _dataStart + _dataLength - covered;
        if (rest != 0)
            throw Broken($"{rest} bytes after the last tensor belong to none");
    }

    private StoredType ReadType(string name)
    {
        _json.Read();
        if (_json.TokenType != JsonTokenType.String)
            throw Broken($"tensor {Quote(name)}: dtype is not a string");
        if (!_json.ValueIsEscaped && StoredType.TryParse(_json.ValueSpan, out StoredType type))
            return type;
        throw Broken($"tensor {Quote(name)}: dtype {Quote(_json.GetString()!)} is not in the specification");
    }

    private int[] ReadShape(string name)
    {
        _json.Read();
        if (_json.TokenType != JsonTokenType.StartArray)
            throw Broken($"tensor {Quote(name)}: shape is not an array");

        Span<int> dimensions = stackalloc int[MaxRank];
        int rank = 0;
        while (_json.Read() && _json.TokenType != JsonTokenType.EndArray)
        {
            if (rank == MaxRank)
                throw Broken($"tensor {Quote(name)}: more than {MaxRank} dimensions");
            long dimension = ReadNatural(name, "shape");
            if (dimension > int.MaxValue)
                throw Broken($"tensor {Quote(name)}: dimension {dimension} is over {int.MaxValue}");
            dimensions[rank++] = (int)dimension;
        }

        // Neighbours mostly have the same shape, above all experts; they share it.
        if (!dimensions[..rank].SequenceEqual(_lastShape))
            _lastShape = dimensions[..rank].ToArray();
        return _lastShape;
    }

    private (long Begin, long End) ReadOffsets(string name)
    {
        _json.Read();
        if (_json.TokenType != JsonTokenType.StartArray)
            throw Broken($"tensor {Quote(name)}: data_offsets is not an array");
        _json.Read();
        long begin = ReadNatural(name, "data_offsets");
        _json.Read();
        long end = ReadNatural(name, "data_offsets");
        _json.Read();
        if (_json.TokenType != JsonTokenType.EndArray)
            throw Broken($"tensor {Quote(name)}: data_offsets has more than two numbers");
        return (begin, end);
    }

    /// <summary>A whole number from 0 to 2^63 - 1, written without sign, point or exponent.</summary>
    private readonly long ReadNatural(string name, string field)
    {
        if (_json.TokenType == JsonTokenType.Number && _json.TryGetUInt64(out ulong value) && value <= long.MaxValue)
            return (long)value;
        throw Broken($"tensor {Quote(name)}: {field} must hold whole numbers from 0 to 2^63 - 1");
    }

    private static long? BytesOf(StoredType type, ReadOnlySpan<int> shape)
    {
        UInt128 bits = (UInt128)type.Bits;
        foreach (int dimension in shape)
        {
            // At most 2^66 before, so 2^97 after: no overflow. What has passed 2^66 only a zero brings back.
            bits *= (UInt128)dimension;
            if (bits > (UInt128)1 << 66)
                return shape.Contains(0) ? 0 : null;
        }

        return bits % 8 == 0 && bits / 8 <= long.MaxValue ? (long)(bits / 8) : null;
    }

    /// <summary>A name from the file, short and on one line.</summary>
    private static string Quote(string name) => Printable.Quote(name);

    private readonly CheckpointException Twice(string name, string field) => Broken($"tensor {Quote(name)} has {field} twice");

    private readonly CheckpointException Missing(string name, string field) => Broken($"tensor {Quote(name)} has no {field}");

    private readonly CheckpointException Broken(string problem) => Broken(_file, problem);

    private static CheckpointException Broken(string file, string problem, Exception? inner = null) =>
        new($"{file}: {problem}", inner: inner);
}
