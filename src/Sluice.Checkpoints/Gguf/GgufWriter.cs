using System.Text;

namespace Sluice.Checkpoints.Gguf;

/// <summary>
/// Writes a GGUF file (version 3) of any size, data streamed after the header, each tensor at a multiple of 32 bytes. The file appears under
/// its name only when it is complete.
/// </summary>
internal sealed class GgufWriter : IDisposable
{
    private const uint Version = 3;
    private const int Alignment = 32;

    private readonly string _path;
    private readonly OutputFile _file;
    private readonly IReadOnlyList<TensorDeclaration> _tensors;
    private int _tensor;
    private long _left;

    private GgufWriter(string path, OutputFile file, IReadOnlyList<TensorDeclaration> tensors)
    {
        _path = path;
        _file = file;
        _tensors = tensors;
        _left = tensors.Count > 0 ? tensors[0].ByteLength : 0;
    }

    /// <summary>Begins a file, or replaces one; data follow in the order of <paramref name="tensors"/>.</summary>
    internal static GgufWriter Create(string path, GgufMetadataBuilder metadata, IReadOnlyList<TensorDeclaration> tensors)
    {
        byte[] header = Header(metadata, tensors);
        var file = new OutputFile(path, checked(header.Length + tensors.Sum(tensor => Padded(tensor.ByteLength))));
        try
        {
            file.Write(header);
            return new GgufWriter(path, file, tensors);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Appends data; pieces may be of any size, but not reach into the next tensor.</summary>
    internal void Write(ReadOnlySpan<byte> data)
    {
        if (data.Length > _left)
            throw new InvalidOperationException($"{_path}: {data.Length} bytes are more than the {_left} that the tensor has left");
        _file.Write(data);
        _left -= data.Length;
        if (_left > 0)
            return;
        long length = _tensors[_tensor].ByteLength;
        _file.Write(new byte[Padded(length) - length]);
        _tensor++;
        _left = _tensor < _tensors.Count ? _tensors[_tensor].ByteLength : 0;
    }

    /// <summary>Ends the file and gives it its name.</summary>
    internal void Complete()
    {
        if (_tensor < _tensors.Count)
            throw new InvalidOperationException($"{_path}: tensors from {_tensors[_tensor].Name} on were not written");
        _file.Complete();
    }

    /// <summary>Discards the file unless it is complete.</summary>
    public void Dispose() => _file.Dispose();

    /// <summary>Everything before the data, padded.</summary>
    internal static byte[] Header(GgufMetadataBuilder metadata, IReadOnlyList<TensorDeclaration> tensors)
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream, Encoding.UTF8);
        writer.Write("GGUF"u8);
        writer.Write(Version);
        writer.Write((long)tensors.Count);
        writer.Write((long)metadata.Count);
        writer.Write(metadata.Bytes);
        long offset = 0;
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (TensorDeclaration tensor in tensors)
        {
            if (!names.Add(tensor.Name))
                throw new ArgumentException($"tensor {tensor.Name} is declared twice", nameof(tensors));
            byte[] name = Encoding.UTF8.GetBytes(tensor.Name);
            writer.Write((long)name.Length);
            writer.Write(name);
            writer.Write(tensor.Shape.Count);
            foreach (int dimension in tensor.Shape.Reverse())
                writer.Write((long)dimension);
            writer.Write(GgmlType.NumberOf(tensor.Type));
            writer.Write(offset);
            offset = checked(offset + Padded(tensor.ByteLength));
        }

        writer.Flush();
        stream.SetLength(Padded(stream.Length));
        return stream.ToArray();
    }

    private static long Padded(long bytes) => checked(bytes + Alignment - 1) / Alignment * Alignment;
}
