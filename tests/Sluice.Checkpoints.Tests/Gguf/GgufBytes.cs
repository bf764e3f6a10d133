using System.Text;

namespace Sluice.Checkpoints.Tests.Gguf;

/// <summary>Spells GGUF files out byte by byte, without the writer, so that anything can be wrong in them.</summary>
internal sealed class GgufBytes
{
    private readonly MemoryStream _values = new();
    private readonly MemoryStream _tensors = new();
    private readonly List<byte[]> _data = [];
    private int _valueCount;
    private int _tensorCount;

    public uint Magic { get; set; } = 0x46554747;

    public uint Version { get; set; } = 3;

    public int Alignment { get; set; } = 32;

    public ulong? ClaimedValues { get; set; }

    public ulong? ClaimedTensors { get; set; }

    public static byte[] Text(string text) => [.. BitConverter.GetBytes((long)Encoding.UTF8.GetByteCount(text)), .. Encoding.UTF8.GetBytes(text)];

    public static byte[] Array(uint element, ulong count, params byte[][] elements) =>
        [.. BitConverter.GetBytes(element), .. BitConverter.GetBytes(count), .. elements.SelectMany(bytes => bytes)];

    public GgufBytes Raw(string key, uint type, params byte[] value)
    {
        _values.Write([.. Text(key), .. BitConverter.GetBytes(type), .. value]);
        _valueCount++;
        return this;
    }

    public GgufBytes Value(string key, string text) => Raw(key, 8, Text(text));

    public GgufBytes Value(string key, uint number) => Raw(key, 4, BitConverter.GetBytes(number));

    public GgufBytes Value(string key, float number) => Raw(key, 6, BitConverter.GetBytes(number));

    public GgufBytes Value(string key, params string[] texts) => Raw(key, 9, Array(8, (ulong)texts.Length, [.. texts.Select(Text)]));

    public GgufBytes Value(string key, params int[] numbers) => Raw(key, 9, Array(5, (ulong)numbers.Length, [.. numbers.Select(BitConverter.GetBytes)]));

    /// <summary>A tensor; <paramref name="dimensions"/> as files have them, the contiguous one first.</summary>
    public GgufBytes Tensor(string name, ulong[] dimensions, uint type, byte[] data, ulong? offset = null)
    {
        ulong place = (ulong)_data.Sum(bytes => (long)bytes.Length);
        _tensors.Write(Text(name));
        _tensors.Write(BitConverter.GetBytes(dimensions.Length));
        foreach (ulong dimension in dimensions)
            _tensors.Write(BitConverter.GetBytes(dimension));
        _tensors.Write([.. BitConverter.GetBytes(type), .. BitConverter.GetBytes(offset ?? place)]);
        _tensorCount++;
        _data.Add([.. data, .. new byte[Padding(data.Length)]]);
        return this;
    }

    public GgufBytes Tensor(string name, ulong[] dimensions, params float[] values) =>
        Tensor(name, dimensions, 0, [.. values.SelectMany(BitConverter.GetBytes)]);

    public byte[] ToArray()
    {
        List<byte> file =
        [
            .. BitConverter.GetBytes(Magic), .. BitConverter.GetBytes(Version),
            .. BitConverter.GetBytes(ClaimedTensors ?? (ulong)_tensorCount), .. BitConverter.GetBytes(ClaimedValues ?? (ulong)_valueCount),
            .. _values.ToArray(), .. _tensors.ToArray(),
        ];
        if (_tensorCount > 0)
            file.AddRange(new byte[Padding(file.Count)]);
        foreach (byte[] data in _data)
            file.AddRange(data);
        return [.. file];
    }

    private int Padding(int length) => (Alignment - (length % Alignment)) % Alignment;
}
