using System.Buffers.Binary;
using System.Text.Json;
using Sluice.Core;

namespace Sluice.Checkpoints.Safetensors;

/// <summary>A tensor on its way into a file.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">How elements are stored; not <see cref="DType.Other"/>.</param>
/// <param name="Shape">Its dimensions.</param>
/// <param name="Write">Writes exactly its bytes, row-major.</param>
public sealed record OutgoingTensor(string Name, DType Type, IReadOnlyList<int> Shape, Action<Stream> Write)
{
    /// <summary>Bytes it takes.</summary>
    public long ByteLength
    {
        get
        {
            long bytes = Type.Size();
            foreach (int dimension in Shape)
                bytes = checked(bytes * dimension);
            return bytes;
        }
    }
}

/// <summary>
/// Writes a safetensors file as the Python library does, byte for byte: wider types first so that all are aligned, then by name;
/// metadata <c>format: pt</c>. Tensors are made while they are written, so that none has to be held.
/// </summary>
public static class SafetensorsWriter
{
    private const int LengthBytes = 8;

    /// <summary>The library's order of types, widest last.</summary>
    private static readonly DType[] Order =
        [DType.Bool, DType.U8, DType.I8, DType.F8E4M3, DType.I16, DType.F16, DType.BF16, DType.I32, DType.F32, DType.F64, DType.I64];

    /// <summary>Writes <paramref name="path"/>; it appears under that name only when it is complete.</summary>
    /// <exception cref="ArgumentException">Two tensors have one name, or one has a type that cannot be written.</exception>
    public static void Write(string path, IEnumerable<OutgoingTensor> tensors, CancellationToken cancellation = default)
    {
        OutgoingTensor[] sorted = [.. tensors.OrderByDescending(t => Rank(t)).ThenBy(t => t.Name, StringComparer.Ordinal)];
        byte[] header = Header(sorted);
        string unfinished = path + ".partial";
        try
        {
            using (FileStream file = new(unfinished, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 1 << 20))
            {
                file.Write(header);
                foreach (OutgoingTensor tensor in sorted)
                {
                    cancellation.ThrowIfCancellationRequested();
                    long end = file.Position + tensor.ByteLength;
                    tensor.Write(file);
                    if (file.Position != end)
                        throw new InvalidOperationException($"{tensor.Name}: {tensor.ByteLength + file.Position - end} bytes were written; expected {tensor.ByteLength}");
                }
            }

            File.Move(unfinished, path, overwrite: true);
        }
        catch
        {
            File.Delete(unfinished);
            throw;
        }
    }

    private static byte[] Header(OutgoingTensor[] tensors)
    {
        using MemoryStream header = new();
        header.Write(stackalloc byte[LengthBytes]);
        using (Utf8JsonWriter json = new(header))
        {
            json.WriteStartObject();
            json.WriteStartObject("__metadata__");
            json.WriteString("format", "pt");
            json.WriteEndObject();
            HashSet<string> names = new(StringComparer.Ordinal);
            long offset = 0;
            foreach (OutgoingTensor tensor in tensors)
            {
                if (!names.Add(tensor.Name))
                    throw new ArgumentException($"two tensors are named {tensor.Name}", nameof(tensors));
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", StoredType.NameOf(tensor.Type));
                json.WriteStartArray("shape");
                foreach (int dimension in tensor.Shape)
                    json.WriteNumberValue(dimension);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                offset = checked(offset + tensor.ByteLength);
                json.WriteNumberValue(offset);
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        while (header.Length % LengthBytes != 0)
            header.WriteByte((byte)' ');
        byte[] bytes = header.ToArray();
        BinaryPrimitives.WriteInt64LittleEndian(bytes, bytes.Length - LengthBytes);
        return bytes;
    }

    private static int Rank(OutgoingTensor tensor)
    {
        int rank = Array.IndexOf(Order, tensor.Type);
        return rank >= 0 ? rank : throw new ArgumentException($"{tensor.Name}: {tensor.Type} cannot be written", nameof(tensor));
    }
}
