using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Sluice.Checkpoints.Gguf;

/// <summary>Metadata as a GGUF file will hold it, in the order it is added.</summary>
internal sealed class GgufMetadataBuilder
{
    private readonly ArrayBufferWriter<byte> _bytes = new();
    private readonly HashSet<string> _keys = new(StringComparer.Ordinal);

    /// <summary>Values so far.</summary>
    internal int Count => _keys.Count;

    internal ReadOnlySpan<byte> Bytes => _bytes.WrittenSpan;

    internal GgufMetadataBuilder Add(string key, uint value)
    {
        Begin(key, GgufValueType.UInt32);
        UInt32(value);
        return this;
    }

    internal GgufMetadataBuilder Add(string key, ushort value)
    {
        Begin(key, GgufValueType.UInt16);
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.GetSpan(2), value);
        _bytes.Advance(2);
        return this;
    }

    internal GgufMetadataBuilder Add(string key, int value)
    {
        Begin(key, GgufValueType.Int32);
        UInt32((uint)value);
        return this;
    }

    internal GgufMetadataBuilder Add(string key, float value)
    {
        Begin(key, GgufValueType.Float32);
        UInt32(BitConverter.SingleToUInt32Bits(value));
        return this;
    }

    internal GgufMetadataBuilder Add(string key, bool value)
    {
        Begin(key, GgufValueType.Bool);
        Raw([value ? (byte)1 : (byte)0]);
        return this;
    }

    internal GgufMetadataBuilder Add(string key, string value)
    {
        Begin(key, GgufValueType.String);
        Text(value);
        return this;
    }

    internal GgufMetadataBuilder Add(string key, IReadOnlyList<string> values)
    {
        BeginArray(key, GgufValueType.String, values.Count);
        foreach (string value in values)
            Text(value);
        return this;
    }

    internal GgufMetadataBuilder Add(string key, IReadOnlyList<int> values)
    {
        BeginArray(key, GgufValueType.Int32, values.Count);
        foreach (int value in values)
            UInt32((uint)value);
        return this;
    }

    internal GgufMetadataBuilder Add(string key, IReadOnlyList<bool> values)
    {
        BeginArray(key, GgufValueType.Bool, values.Count);
        foreach (bool value in values)
            Raw([value ? (byte)1 : (byte)0]);
        return this;
    }

    private void BeginArray(string key, GgufValueType element, int count)
    {
        Begin(key, GgufValueType.Array);
        UInt32((uint)element);
        UInt64((ulong)count);
    }

    private void Begin(string key, GgufValueType type)
    {
        if (!_keys.Add(key))
            throw new ArgumentException($"metadata {key} is added twice", nameof(key));
        Text(key);
        UInt32((uint)type);
    }

    private void Text(string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        UInt64((ulong)utf8.Length);
        Raw(utf8);
    }

    private void UInt32(uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_bytes.GetSpan(4), value);
        _bytes.Advance(4);
    }

    private void UInt64(ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_bytes.GetSpan(8), value);
        _bytes.Advance(8);
    }

    private void Raw(ReadOnlySpan<byte> bytes) => _bytes.Write(bytes);
}
