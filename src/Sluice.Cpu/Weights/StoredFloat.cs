using System.Runtime.InteropServices;
using Sluice.Core;

namespace Sluice.Cpu.Weights;

/// <summary>Stored numbers one by one, for what is not worth a vector.</summary>
internal static class StoredFloat
{
    private static readonly float[] E4M3Values = [.. Enumerable.Range(0, 256).Select(code => DecodeE4M3((byte)code))];

    /// <summary>The value of an E4M3 byte.</summary>
    public static float FromE4M3(byte code) => E4M3Values[code];

    /// <summary>Decodes a row as stored, without scales.</summary>
    public static void Decode(DType type, ReadOnlySpan<byte> source, Span<float> destination)
    {
        switch (type)
        {
            case DType.F32:
                MemoryMarshal.Cast<byte, float>(source)[..destination.Length].CopyTo(destination);
                break;
            case DType.BF16:
                ReadOnlySpan<ushort> words = MemoryMarshal.Cast<byte, ushort>(source);
                for (int i = 0; i < destination.Length; i++)
                    destination[i] = BitConverter.Int32BitsToSingle(words[i] << 16);
                break;
            case DType.F16:
                ReadOnlySpan<Half> halves = MemoryMarshal.Cast<byte, Half>(source);
                for (int i = 0; i < destination.Length; i++)
                    destination[i] = (float)halves[i];
                break;
            default:
                for (int i = 0; i < destination.Length; i++)
                    destination[i] = FromE4M3(source[i]);
                break;
        }
    }

    private static float DecodeE4M3(byte code)
    {
        int exponent = (code >> 3) & 15;
        int mantissa = code & 7;
        float magnitude = (code & 0x7F) == 0x7F
            ? float.NaN
            : exponent == 0
                ? mantissa / 512f
                : (8 + mantissa) * MathF.ScaleB(1, exponent - 10);
        return code < 0x80 ? magnitude : -magnitude;
    }
}
