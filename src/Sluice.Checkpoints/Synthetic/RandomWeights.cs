using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Sluice.Core;

namespace Sluice.Checkpoints;

/// <summary>
/// Random stored numbers at memory speed, without converting a single float. Stored floats order like integers, so adding r random low
/// bits to the pattern of a number a gives one spread evenly over each binary octave from a on: with the mantissa's bits and
/// two of the exponent's, over [a, 16 a). The bits come from a counter, so any byte can be made without those before it.
/// </summary>
internal static class RandomWeights
{
    /// <summary>Root mean square of a number spread over [1, 16) as above: sqrt(7/3 * (1 + 4 + 16 + 64) / 4).</summary>
    private const double SpreadRms = 7.0415;

    /// <summary>The same over one octave: sqrt(7/3).</summary>
    private const double OctaveRms = 1.5275;

    /// <summary>E4M3 weights lie in [16, 256) and leave the rest to their scales.</summary>
    private const byte Fp8Sixteen = 0x58;

    private static readonly string[] QuantisedModules =
    [
        ".q_proj", ".k_proj", ".v_proj", ".o_proj", ".gate_proj", ".up_proj", ".down_proj", ".in_proj_qkvz", ".in_proj_qkv", ".in_proj_z",
        ".out_proj",
    ];

    /// <summary>Whether FP8 checkpoints store this module's weight as FP8: all large projections, and neither router, gates nor embeddings.</summary>
    internal static bool IsQuantised(string name)
    {
        const string Suffix = ".weight";
        if (!name.EndsWith(Suffix, StringComparison.Ordinal))
            return false;
        ReadOnlySpan<char> module = name.AsSpan(0, name.Length - Suffix.Length);
        foreach (string quantised in QuantisedModules)
        {
            if (module.EndsWith(quantised, StringComparison.Ordinal))
                return true;
        }

        return false;
    }

    /// <summary>Makes the bytes of a tensor from <paramref name="offset"/>.</summary>
    internal static void Fill(TensorInfo tensor, ModelConfig config, ulong seed, long offset, Span<byte> bytes) =>
        Fill(LawOf(tensor, config), KeyOf(tensor.Name, seed), offset, bytes);

    private static void Fill(Law law, ulong key, long offset, Span<byte> bytes)
    {
        // Words are counted from the tensor's start; a range may begin and end inside one.
        int skip = (int)(offset & 3);
        if (skip != 0)
        {
            Span<byte> word = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32LittleEndian(word, law.Apply(Random(key, offset >> 2)));
            int head = Math.Min(4 - skip, bytes.Length);
            word.Slice(skip, head).CopyTo(bytes);
            bytes = bytes[head..];
            offset += head;
        }

        long index = offset >> 2;
        Span<uint> words = MemoryMarshal.Cast<byte, uint>(bytes);
        while (words.Length > 0)
        {
            // The counter has 32 bits; what is above goes into the key.
            int run = (int)Math.Min(words.Length, (1L << 32) - (index & 0xFFFFFFFF));
            FillWords(law, RunKey(key, index), (uint)index, words[..run]);
            words = words[run..];
            index += run;
        }

        int tail = bytes.Length & 3;
        if (tail != 0)
        {
            Span<byte> word = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32LittleEndian(word, law.Apply(Random(key, index)));
            word[..tail].CopyTo(bytes[^tail..]);
        }
    }

    private static void FillWords(Law law, uint key, uint index, Span<uint> words)
    {
        int i = 0;
        if (BitConverter.IsLittleEndian)
        {
            var lanes = Vector256.Create(0u, 1, 2, 3, 4, 5, 6, 7);
            var sign = Vector256.Create(law.Sign);
            var start = Vector256.Create(law.Start);
            var spread = Vector256.Create(law.Spread);
            var keys = Vector256.Create(key);
            for (; i <= words.Length - Vector256<uint>.Count; i += Vector256<uint>.Count)
            {
                Vector256<uint> x = Mix((Vector256.Create(index + (uint)i) + lanes) * Weyl + keys);
                ((x & sign) | (start + (x & spread))).CopyTo(words[i..]);
            }
        }

        for (; i < words.Length; i++)
        {
            uint word = law.Apply(Mix(unchecked(((index + (uint)i) * Weyl) + key)));
            words[i] = BitConverter.IsLittleEndian ? word : BinaryPrimitives.ReverseEndianness(word);
        }
    }

    private const uint Weyl = 0x9E3779B1;

    private static uint Random(ulong key, long index) => Mix(unchecked(((uint)index * Weyl) + RunKey(key, index)));

    private static uint RunKey(ulong key, long index) => Mix((uint)key ^ Mix((uint)(key >> 32) + (uint)(index >> 32)));

    /// <summary>The finaliser of MurmurHash3: every input bit reaches every output bit.</summary>
    private static uint Mix(uint x)
    {
        unchecked
        {
            x = (x ^ (x >> 16)) * 0x85EBCA6B;
            x = (x ^ (x >> 13)) * 0xC2B2AE35;
            return x ^ (x >> 16);
        }
    }

    private static Vector256<uint> Mix(Vector256<uint> x)
    {
        x = (x ^ (x >> 16)) * 0x85EBCA6Bu;
        x = (x ^ (x >> 13)) * 0xC2B2AE35u;
        return x ^ (x >> 16);
    }

    /// <summary>FNV-1a over the name, begun with the seed.</summary>
    private static ulong KeyOf(string name, ulong seed)
    {
        unchecked
        {
            ulong hash = 0xCBF29CE484222325 ^ (seed * 0x9E3779B97F4A7C15);
            foreach (char c in name)
                hash = (hash ^ c) * 0x100000001B3;
            return hash;
        }
    }

    private static Law LawOf(TensorInfo tensor, ModelConfig config)
    {
        string name = tensor.Name;
        if (name.EndsWith(".weight_scale_inv", StringComparison.Ordinal))
        {
            int columns = tensor.Shape[^1] * (config.Fp8Block?.Columns ?? 1);
            return Law.Between(tensor.Type, Deviation(columns) / (SpreadRms * 16 * OctaveRms), octaves: 0, signed: false);
        }

        if (name.EndsWith(".A_log", StringComparison.Ordinal) || name.EndsWith(".dt_bias", StringComparison.Ordinal))
            return Law.Between(tensor.Type, 0.5, octaves: 1, signed: false);
        if (tensor.Shape.Count == 1)
        {
            bool nearOne = name.EndsWith("norm.weight", StringComparison.Ordinal)
                && (!config.ZeroCentredNorm || name.EndsWith(".linear_attn.norm.weight", StringComparison.Ordinal));
            return nearOne ? Law.Between(tensor.Type, 0.96, octaves: -4, signed: false) : Law.Between(tensor.Type, 0.004, octaves: 2, signed: true);
        }

        if (tensor.Type == DType.F8E4M3)
            return Law.Fp8;
        int width = tensor.Shape.Count > 0 ? tensor.Shape[^1] : 1;
        return Law.Between(tensor.Type, Deviation(width) / SpreadRms, octaves: 2, signed: true);
    }

    private static double Deviation(int columns) => 1 / Math.Sqrt(Math.Max(1, columns));

    /// <summary>
    /// What becomes of 32 random bits: those of <paramref name="Sign"/> stay, those of <paramref name="Spread"/> are added to
    /// <paramref name="Start"/>; each mask is repeated for the 1, 2 or 4 numbers of a word, and no sum carries into the next.
    /// </summary>
    private readonly record struct Law(uint Sign, uint Start, uint Spread)
    {
        internal static Law Fp8 { get; } = Repeat(0x80, Fp8Sixteen, 0x1F, 8);

        internal uint Apply(uint random) => (random & Sign) | (Start + (random & Spread));

        /// <summary>
        /// Numbers from <paramref name="start"/> over 2^<paramref name="octaves"/> octaves; below 0, over that part of one.
        /// </summary>
        internal static Law Between(DType type, double start, int octaves, bool signed)
        {
            (int bits, int mantissa, uint pattern) = type switch
            {
                DType.F32 => (32, 23, BitConverter.SingleToUInt32Bits((float)start)),
                DType.BF16 => (16, 7, BitConverter.SingleToUInt32Bits((float)start) >> 16),
                DType.F16 => (16, 10, BitConverter.HalfToUInt16Bits((Half)start)),
                _ => throw new ArgumentOutOfRangeException(nameof(type), type, "not a type that dummy weights have"),
            };
            uint spread = (1u << (mantissa + octaves)) - 1;
            return Repeat(signed ? 1u << (bits - 1) : 0, pattern, spread, bits);
        }

        private static Law Repeat(uint sign, uint start, uint spread, int bits)
        {
            uint ones = bits switch { 8 => 0x01010101, 16 => 0x00010001, _ => 1 };
            return new Law(sign * ones, start * ones, spread * ones);
        }
    }
}
