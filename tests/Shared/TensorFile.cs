using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using Sluice.Core;

namespace Sluice.Testing;

/// <summary>A tensor in memory, as a safetensors file stores it.</summary>
public sealed record StoredTensor(DType Type, long[] Shape, byte[] Bytes)
{
    public float[] Floats()
    {
        float[] values = new float[Bytes.Length / Type.Size()];
        StoredNumbers.Decode(Type, Bytes, values);
        return values;
    }

    public int[] Integers() =>
        Type == DType.I32 ? MemoryMarshal.Cast<byte, int>(Bytes).ToArray() : throw new InvalidDataException($"expected I32, found {Type}");

    public static StoredTensor F32(float[] values, params long[] shape) => new(DType.F32, shape, MemoryMarshal.AsBytes<float>(values).ToArray());

    public static StoredTensor I32(int[] values, params long[] shape) => new(DType.I32, shape, MemoryMarshal.AsBytes<int>(values).ToArray());

    public static StoredTensor F16(float[] values, params long[] shape) =>
        new(DType.F16, shape, MemoryMarshal.AsBytes<Half>(Array.ConvertAll(values, value => (Half)value)).ToArray());

    public static StoredTensor BF16(float[] values, params long[] shape)
    {
        byte[] bytes = new byte[values.Length * 2];
        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(i * 2), StoredNumbers.ToBF16(values[i]));
        return new StoredTensor(DType.BF16, shape, bytes);
    }
}

/// <summary>
/// Reads and writes small safetensors files for tests, in memory. Independent of the product's reader on purpose, and trusting:
/// it is for files the tests made or carry.
/// </summary>
public static class TensorFile
{
    private static readonly Dictionary<DType, string> TypeNames = Enum.GetValues<DType>().ToDictionary(
        t => t, t => t == DType.F8E4M3 ? "F8_E4M3" : t.ToString().ToUpperInvariant());

    public static Dictionary<string, StoredTensor> Read(string path)
    {
        byte[] file = File.ReadAllBytes(path);
        int header = (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        using JsonDocument json = JsonDocument.Parse(file.AsMemory(8, header));
        Dictionary<string, StoredTensor> tensors = [];
        foreach (JsonProperty entry in json.RootElement.EnumerateObject().Where(e => e.Name != "__metadata__"))
        {
            string type = entry.Value.GetProperty("dtype").GetString()!;
            long[] shape = [.. entry.Value.GetProperty("shape").EnumerateArray().Select(d => d.GetInt64())];
            int[] offsets = [.. entry.Value.GetProperty("data_offsets").EnumerateArray().Select(d => d.GetInt32())];
            tensors.Add(entry.Name, new StoredTensor(TypeNames.First(t => t.Value == type).Key, shape, file[(8 + header + offsets[0])..(8 + header + offsets[1])]));
        }

        return tensors;
    }

    public static void Write(string path, IReadOnlyDictionary<string, StoredTensor> tensors)
    {
        using MemoryStream header = new();
        using (Utf8JsonWriter json = new(header))
        {
            json.WriteStartObject();
            int offset = 0;
            foreach ((string name, StoredTensor tensor) in tensors)
            {
                json.WriteStartObject(name);
                json.WriteString("dtype", TypeNames[tensor.Type]);
                json.WriteStartArray("shape");
                foreach (long dimension in tensor.Shape)
                    json.WriteNumberValue(dimension);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(offset += tensor.Bytes.Length);
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        while (header.Length % 8 != 0)
            header.WriteByte((byte)' ');
        using FileStream file = File.Create(path);
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        file.Write(length);
        file.Write(header.GetBuffer().AsSpan(0, (int)header.Length));
        foreach (StoredTensor tensor in tensors.Values)
            file.Write(tensor.Bytes);
    }
}
