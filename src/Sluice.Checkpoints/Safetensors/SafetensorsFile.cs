using System.Buffers.Binary;
using Sluice.Core;
using Sluice.Memory;

namespace Sluice.Checkpoints.Safetensors;

/// <summary>
/// One safetensors file that is no checkpoint: expected outputs, activations. Opening maps it and reads its header.
/// </summary>
public sealed class SafetensorsFile : IDisposable
{
    private readonly MappedFile _file;
    private readonly Dictionary<string, TensorInfo> _tensors;
    private readonly string _name;

    private SafetensorsFile(MappedFile file, string name, Dictionary<string, TensorInfo> tensors)
    {
        _file = file;
        _name = name;
        _tensors = tensors;
    }

    /// <summary>Every tensor, by name.</summary>
    public IReadOnlyDictionary<string, TensorInfo> Tensors => _tensors;

    /// <summary>Opens a file.</summary>
    /// <exception cref="CheckpointException">It cannot be read or breaks the specification.</exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        string name = Path.GetFileName(path);
        MappedFile file;
        try
        {
            file = MappedFile.Open(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(e.Message, inner: e);
        }

        try
        {
            Dictionary<string, TensorInfo> tensors = new(StringComparer.Ordinal);
            int extent = SafetensorsHeader.Extent(
                file.Span(0, (int)Math.Min(file.Length, SafetensorsHeader.LengthBytes)), file.Length, name);
            SafetensorsHeader.Parse(file.Span(0, extent), file.Length, name, shard: 0, tensors);
            return new SafetensorsFile(file, name, tensors);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>All elements of a tensor stored as F32, F16 or BF16.</summary>
    /// <exception cref="CheckpointException">There is none of that name, or it holds something else.</exception>
    public float[] Floats(string name)
    {
        TensorInfo tensor = Find(name);
        if (!Checkpoints.Floats.CanWiden(tensor.Type))
            throw new CheckpointException($"{_name}: {name}: expected F32, F16 or BF16, found {tensor.TypeName}");
        float[] values = new float[tensor.ByteLength / tensor.Type.Size()];
        Checkpoints.Floats.Widen(tensor.Type, Bytes(tensor), values);
        return values;
    }

    /// <summary>All elements of a tensor stored as I32 or I64.</summary>
    /// <exception cref="CheckpointException">There is none of that name, it holds something else, or a number does not fit.</exception>
    public int[] Integers(string name)
    {
        TensorInfo tensor = Find(name);
        if (tensor.Type is not (DType.I32 or DType.I64))
            throw new CheckpointException($"{_name}: {name}: expected I32 or I64, found {tensor.TypeName}");
        int size = tensor.Type.Size();
        ReadOnlySpan<byte> stored = Bytes(tensor);
        int[] values = new int[stored.Length / size];
        for (int i = 0; i < values.Length; i++)
        {
            long value = size == 4
                ? BinaryPrimitives.ReadInt32LittleEndian(stored[(i * size)..])
                : BinaryPrimitives.ReadInt64LittleEndian(stored[(i * size)..]);
            if (value != (int)value)
                throw new CheckpointException($"{_name}: {name}: element {i} is {value}; expected a 32-bit number");
            values[i] = (int)value;
        }

        return values;
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private TensorInfo Find(string name) => _tensors.GetValueOrDefault(name) ?? throw new CheckpointException($"{_name}: has no tensor {name}");

    private ReadOnlySpan<byte> Bytes(TensorInfo tensor) => tensor.ByteLength <= Array.MaxLength
        ? _file.Span(tensor.Offset, (int)tensor.ByteLength)
        : throw new CheckpointException($"{_name}: {tensor.Name}: {tensor.ByteLength} bytes are more than are read at once");
}
