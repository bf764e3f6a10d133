using System.Buffers;
using System.Buffers.Binary;
using System.Text.Json;
using Sluice.Checkpoints.Safetensors;
using Sluice.Core;

namespace Sluice.Checkpoints;

/// <summary>A tensor that is to be written.</summary>
/// <param name="Name">Its name; unique in a file.</param>
/// <param name="Type">How elements are stored.</param>
/// <param name="Shape">Its dimensions, row-major; empty for a scalar.</param>
public sealed record TensorDeclaration(string Name, DType Type, IReadOnlyList<int> Shape)
{
    /// <summary>Bytes of its data.</summary>
    public long ByteLength
    {
        get
        {
            // Blocks lie along the last dimension.
            (int elements, int bytes) = Type.Block();
            if (elements > 1 && (Shape.Count == 0 || Shape[^1] % elements != 0))
                throw new InvalidOperationException($"{Name}: rows of {(Shape.Count == 0 ? 1 : Shape[^1])} are not whole blocks of {elements} {Type}");
            long count = 1;
            foreach (int dimension in Shape)
                count = checked(count * dimension);
            return checked(count / elements * bytes);
        }
    }
}

/// <summary>
/// Writes a safetensors file of any size, data streamed after the header. Wider types come first, so that every tensor is
/// aligned to its elements. The file appears under its name only when it is complete.
/// </summary>
public sealed class SafetensorsWriter : IDisposable
{
    private const int HeaderAlignment = 8;

    private readonly string _path;
    private readonly OutputFile _file;

    private SafetensorsWriter(string path, OutputFile file, IReadOnlyList<TensorInfo> tensors)
    {
        _path = path;
        _file = file;
        Tensors = tensors;
    }

    /// <summary>The tensors in the order in which their data must be written.</summary>
    public IReadOnlyList<TensorInfo> Tensors { get; }

    /// <summary>Begins a file, or replaces one.</summary>
    /// <param name="path">Where it will be.</param>
    /// <param name="tensors">Everything it will hold.</param>
    /// <param name="metadata">Free-form strings for <c>__metadata__</c>.</param>
    /// <exception cref="CheckpointException">The file cannot be written here, or there is no room for it.</exception>
    public static SafetensorsWriter Create(
        string path, IEnumerable<TensorDeclaration> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(tensors);
        TensorDeclaration[] ordered = [.. tensors.OrderByDescending(tensor => tensor.Type.Size())];
        byte[] header = Header(ordered, metadata);
        long offset = SafetensorsHeader.LengthBytes + header.Length;
        var places = new TensorInfo[ordered.Length];
        for (int i = 0; i < ordered.Length; i++)
        {
            places[i] = new TensorInfo(ordered[i].Name, ordered[i].Type, ordered[i].Shape, Shard: 0, offset, ordered[i].ByteLength);
            offset = checked(offset + ordered[i].ByteLength);
        }

        var file = new OutputFile(path, offset);
        try
        {
            Span<byte> length = stackalloc byte[SafetensorsHeader.LengthBytes];
            BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
            file.Write(length);
            file.Write(header);
            return new SafetensorsWriter(path, file, places);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Appends data, in the order of <see cref="Tensors"/>; pieces may be of any size.</summary>
    /// <exception cref="CheckpointException">The disk is full, or the file cannot be written for another reason.</exception>
    public void Write(ReadOnlySpan<byte> data)
    {
        if (data.Length > _file.Left)
            throw new InvalidOperationException($"{_path}: {data.Length} bytes are more than the declared tensors have left");
        _file.Write(data);
    }

    /// <summary>Ends the file and gives it its name.</summary>
    /// <exception cref="InvalidOperationException">Data is missing.</exception>
    /// <exception cref="CheckpointException">As <see cref="Write"/>.</exception>
    public void Complete()
    {
        Flush();
        _file.Complete();
    }

    /// <summary>Ends the file and brings it to the disk; only its name is missing then.</summary>
    internal void Flush()
    {
        if (_file.Left != 0)
            throw new InvalidOperationException($"{_path}: {_file.Left} bytes of the declared tensors were not written");
        _file.Flush();
    }

    /// <summary>Discards the file unless it is complete.</summary>
    public void Dispose() => _file.Dispose();

    /// <summary>The header without its length, padded so that the data begins at a multiple of 8.</summary>
    internal static byte[] Header(IReadOnlyList<TensorDeclaration> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            if (metadata is not null)
            {
                json.WriteStartObject("__metadata__");
                foreach ((string key, string value) in metadata)
                    json.WriteString(key, value);
                json.WriteEndObject();
            }

            long begin = 0;
            var names = new HashSet<string>(StringComparer.Ordinal) { "__metadata__" };
            foreach (TensorDeclaration tensor in tensors)
            {
                if (!names.Add(tensor.Name))
                    throw new ArgumentException($"tensor {tensor.Name} is declared twice, or has a reserved name", nameof(tensors));
                long end = checked(begin + tensor.ByteLength);
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", StoredType.NameOf(tensor.Type));
                json.WriteStartArray("shape");
                foreach (int dimension in tensor.Shape)
                    json.WriteNumberValue(dimension);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(begin);
                json.WriteNumberValue(end);
                json.WriteEndArray();
                json.WriteEndObject();
                begin = end;
            }

            json.WriteEndObject();
        }

        if (buffer.WrittenCount > SafetensorsHeader.MaxHeaderBytes - HeaderAlignment)
            throw new ArgumentException($"the header would take {buffer.WrittenCount} bytes, more than the specification allows", nameof(tensors));
        int padded = (buffer.WrittenCount + HeaderAlignment - 1) / HeaderAlignment * HeaderAlignment;
        var header = new byte[padded];
        buffer.WrittenSpan.CopyTo(header);
        header.AsSpan(buffer.WrittenCount).Fill((byte)' ');
        return header;
    }
}
