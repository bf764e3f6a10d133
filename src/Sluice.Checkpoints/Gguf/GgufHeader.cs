using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using System.Text.Unicode;
using Sluice.Core;

namespace Sluice.Checkpoints.Gguf;

/// <summary>
/// The front of a GGUF file, little-endian: magic, version (2 or 3), the numbers of tensors and of metadata values; the metadata, each a
/// name, a type and a value; for each tensor its name, dimensions (the contiguous one first), type and offset in the data. The data begin at
/// the next multiple of <c>general.alignment</c>, and so does each tensor in them.
/// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)
/// </summary>
/// <remarks>
/// Read from bytes that may come from anybody: every count and length is compared with the bytes that are left before it is used, products are
/// checked, arrays in arrays are counted, and nothing is allocated but a fixed amount for what the file itself spells out.
/// </remarks>
internal ref struct GgufHeader
{
    /// <summary>Far above any real one: a vocabulary of a million tokens with its merges takes 60 MB.</summary>
    internal const int MaxHeaderBytes = 1 << 28;

    /// <summary>Values a file may have; real ones have 50.</summary>
    internal const int MaxValues = 1 << 14;

    /// <summary>Arrays in arrays; real files have none.</summary>
    internal const int MaxDepth = 4;

    /// <summary>Dimensions GGML tensors may have.</summary>
    internal const int MaxRank = 4;

    private const int DefaultAlignment = 32;
    private const int MaxAlignment = 1 << 20;
    private const int MaxNameBytes = 512;
    private const int PreambleBytes = 24;
    private const int ShortestValue = 8 + 4 + 1;
    private const int ShortestTensor = 8 + 4 + 8 + 4 + 8;

    private readonly ReadOnlySpan<byte> _front;
    private readonly long _fileLength;
    private readonly string _file;
    private readonly int _shard;
    private int _at;

    private GgufHeader(ReadOnlySpan<byte> front, long fileLength, string file, int shard)
    {
        _front = front;
        _fileLength = fileLength;
        _file = file;
        _shard = shard;
    }

    private readonly int Left => _front.Length - _at;

    /// <summary>Reads a header.</summary>
    /// <param name="front">The file, or its first <see cref="MaxHeaderBytes"/>.</param>
    /// <param name="fileLength">Bytes of the whole file.</param>
    /// <param name="file">The file's name, for messages.</param>
    /// <param name="shard">What to file the tensors under.</param>
    /// <returns>Metadata by name, and tensors in the order of their data under the file's own names, shapes row-major.</returns>
    /// <exception cref="CheckpointException">The header breaks the specification.</exception>
    internal static (Dictionary<string, GgufValue> Values, List<TensorInfo> Tensors) Parse(
        ReadOnlySpan<byte> front, long fileLength, string file, int shard)
    {
        var header = new GgufHeader(front, fileLength, file, shard);
        (int tensorCount, int valueCount) = header.ReadPreamble();
        Dictionary<string, GgufValue> values = header.ReadValues(valueCount);
        int alignment = header.ReadAlignment(values);
        List<TensorInfo> tensors = header.ReadTensors(tensorCount, alignment);
        header.Place(tensors, alignment);
        return (values, tensors);
    }

    private (int Tensors, int Values) ReadPreamble()
    {
        if (Left < PreambleBytes)
            throw Broken($"{_fileLength} bytes are too few for a GGUF file");
        if (!Take(4).SequenceEqual("GGUF"u8))
            throw Broken("does not begin with 'GGUF'");
        uint version = UInt32();
        if (version is not (2 or 3))
        {
            throw Broken(BinaryPrimitives.ReverseEndianness(version) is 2 or 3
                ? "is big-endian, which is not implemented"
                : $"has version {version}; versions 2 and 3 are implemented");
        }

        ulong tensors = UInt64();
        ulong values = UInt64();
        if (values > MaxValues)
            throw Broken($"claims {values} metadata values; at most {MaxValues} are read");
        if (tensors > Safetensors.SafetensorsHeader.MaxTensors)
            throw Broken($"claims {tensors} tensors; at most {Safetensors.SafetensorsHeader.MaxTensors} are read");
        if (((long)values * ShortestValue) + ((long)tensors * ShortestTensor) > Left)
            throw Broken($"claims {values} metadata values and {tensors} tensors, for which its {_fileLength} bytes are too few");
        return ((int)tensors, (int)values);
    }

    private Dictionary<string, GgufValue> ReadValues(int count)
    {
        var values = new Dictionary<string, GgufValue>(count, StringComparer.Ordinal);
        for (int i = 0; i < count; i++)
        {
            string key = Name("a metadata key");
            uint type = UInt32();
            if (!values.TryAdd(key, ReadValue(key, type, depth: 0)))
                throw Broken($"metadata {Printable.Quote(key)} appears twice");
        }

        return values;
    }

    private GgufValue ReadValue(string key, uint number, int depth)
    {
        GgufValueType type = TypeOf(key, number);
        int start = _at;
        if (type == GgufValueType.Array)
            return ReadArray(key, depth);
        Skip(key, type, depth);
        return new GgufValue(type, type, 1, start, _at - start);
    }

    private GgufValue ReadArray(string key, int depth)
    {
        if (depth == MaxDepth)
            throw Broken($"metadata {Printable.Quote(key)}: arrays lie more than {MaxDepth} deep");
        GgufValueType element = TypeOf(key, UInt32());
        ulong count = UInt64();

        // A string takes 8 bytes at least, an array 12.
        int least = element switch { GgufValueType.String => 8, GgufValueType.Array => 12, _ => GgufValue.SizeOf(element) };
        if (count > (ulong)(Left / least))
            throw Broken($"metadata {Printable.Quote(key)}: an array claims {count} elements, for which the {Left} bytes left are too few");
        int start = _at;
        if (GgufValue.SizeOf(element) is > 0 and int size)
        {
            ReadOnlySpan<byte> elements = Take(size * (int)count);
            if (element == GgufValueType.Bool && elements.ContainsAnyExceptInRange((byte)0, (byte)1))
                throw Broken($"metadata {Printable.Quote(key)}: a truth value is neither 0 nor 1");
        }
        else
        {
            for (int i = 0; i < (int)count; i++)
                Skip(key, element, depth + 1);
        }

        return new GgufValue(GgufValueType.Array, element, (int)count, start, _at - start);
    }

    private void Skip(string key, GgufValueType type, int depth)
    {
        switch (type)
        {
            case GgufValueType.Array:
                ReadArray(key, depth);
                break;
            case GgufValueType.String:
                ulong length = UInt64();
                if (length > (ulong)Left)
                    throw Broken($"metadata {Printable.Quote(key)}: a string claims {length} bytes, and only {Left} are left");
                _at += (int)length;
                break;
            case GgufValueType.Bool:
                if (Take(1)[0] > 1)
                    throw Broken($"metadata {Printable.Quote(key)}: a truth value is neither 0 nor 1");
                break;
            default:
                Take(GgufValue.SizeOf(type));
                break;
        }
    }

    private readonly GgufValueType TypeOf(string key, uint number) => number <= (uint)GgufValueType.Float64
        ? (GgufValueType)number
        : throw Broken($"metadata {Printable.Quote(key)}: type {number} is not in the specification");

    private readonly int ReadAlignment(Dictionary<string, GgufValue> values)
    {
        if (!values.TryGetValue("general.alignment", out GgufValue value))
            return DefaultAlignment;
        uint alignment = value.Type == GgufValueType.UInt32 ? BinaryPrimitives.ReadUInt32LittleEndian(_front[value.Offset..]) : 0;
        return alignment is >= 8 and <= MaxAlignment && BitOperations.IsPow2(alignment)
            ? (int)alignment
            : throw Broken($"general.alignment: expected a power of two from 8 to {MaxAlignment}, as UInt32");
    }

    private List<TensorInfo> ReadTensors(int count, int alignment)
    {
        // Capacity by what the file has shown to hold: every tensor takes some of its bytes.
        var tensors = new List<TensorInfo>(count);
        var names = new HashSet<string>(count, StringComparer.Ordinal);
        for (int i = 0; i < count; i++)
        {
            string name = Name("a tensor's name");
            if (!names.Add(name))
                throw Broken($"tensor {Printable.Quote(name)} appears twice");
            uint rank = UInt32();
            if (rank is 0 or > MaxRank)
                throw Broken($"tensor {Printable.Quote(name)}: {rank} dimensions; expected 1 to {MaxRank}");
            int[] shape = new int[rank];
            for (int d = shape.Length - 1; d >= 0; d--)
            {
                ulong dimension = UInt64();
                if (dimension is 0 or > int.MaxValue)
                    throw Broken($"tensor {Printable.Quote(name)}: a dimension is {dimension}; expected 1 to {int.MaxValue}");
                shape[d] = (int)dimension;
            }

            uint number = UInt32();
            ulong offset = UInt64();
            GgmlType type = GgmlType.Find(number) ?? throw Broken($"tensor {Printable.Quote(name)}: type {number} is not known");
            if (shape[^1] % type.Elements != 0)
                throw Broken($"tensor {Printable.Quote(name)}: rows of {shape[^1]} elements are not whole blocks of {type.Elements} {type.Name}");
            if (offset % (ulong)alignment != 0)
                throw Broken($"tensor {Printable.Quote(name)}: offset {offset} is not a multiple of the alignment, {alignment}");
            long bytes = BytesOf(type, shape);
            if (bytes > _fileLength || offset > (ulong)(_fileLength - bytes))
                throw Broken($"tensor {Printable.Quote(name)}: {type.Name} {TensorPlace.Shape(shape)} at {offset} is not in the file's {_fileLength} bytes");
            tensors.Add(new TensorInfo(name, type.Type, shape, _shard, (long)offset, bytes) { TypeName = type.Name });
        }

        return tensors;
    }

    /// <summary>Turns offsets in the data into offsets in the file; the tensors must follow each other without overlap, and no hole beyond the alignment.</summary>
    private readonly void Place(List<TensorInfo> tensors, int alignment)
    {
        if (tensors.Count == 0)
            return;
        long start = Aligned(_at, alignment);
        if (_at == _front.Length && _at < _fileLength)
            throw Broken($"the header is longer than the {MaxHeaderBytes} bytes that are read");
        tensors.Sort(static (a, b) => a.Offset.CompareTo(b.Offset));
        long covered = start;
        for (int i = 0; i < tensors.Count; i++)
        {
            TensorInfo tensor = tensors[i];
            long offset = start + tensor.Offset;
            if (offset < covered)
                throw Broken($"tensor {Printable.Quote(tensor.Name)} overlaps the one before it by {covered - offset} bytes");
            if (offset != Aligned(covered, alignment))
                throw Broken($"{offset - covered} bytes before tensor {Printable.Quote(tensor.Name)} belong to no tensor");
            covered = offset + tensor.ByteLength;
            if (covered > _fileLength)
                throw Broken($"tensor {Printable.Quote(tensor.Name)} ends at {covered}, and the file has {_fileLength} bytes");
            tensors[i] = tensor with { Offset = offset };
        }

        if (_fileLength > Aligned(covered, alignment))
            throw Broken($"{_fileLength - covered} bytes after the last tensor belong to none");
    }

    private readonly long BytesOf(GgmlType type, ReadOnlySpan<int> shape)
    {
        // Four dimensions below 2^31 stay below 2^124.
        UInt128 elements = 1;
        foreach (int dimension in shape)
            elements *= (UInt128)dimension;
        UInt128 bytes = elements / (UInt128)type.Elements;
        bytes = bytes > long.MaxValue ? UInt128.MaxValue : bytes * (UInt128)type.Bytes;
        return bytes <= (UInt128)_fileLength ? (long)bytes : long.MaxValue;
    }

    private static long Aligned(long offset, int alignment) => (offset + alignment - 1) / alignment * alignment;

    private string Name(string what)
    {
        ulong length = UInt64();
        if (length is 0 or > MaxNameBytes)
            throw Broken($"{what} claims {length} bytes; expected 1 to {MaxNameBytes}");
        ReadOnlySpan<byte> name = Take((int)length);
        return Utf8.IsValid(name) ? Encoding.UTF8.GetString(name) : throw Broken($"{what} is not UTF-8");
    }

    private uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    private ulong UInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(8));

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > Left)
        {
            throw Broken(_front.Length < _fileLength
                ? $"the header is longer than the {MaxHeaderBytes} bytes that are read"
                : $"ends in the middle of its header, after {_fileLength} bytes");
        }

        _at += count;
        return _front.Slice(_at - count, count);
    }

    private readonly CheckpointException Broken(string problem) => new($"{_file}: {problem}");
}
