using System.Buffers.Binary;

namespace Sluice.Checkpoints.Tests.Fuzzing;

/// <summary>
/// Breaks binary files in ways a parser of lengths and counts may trip over: numbers become extreme or another number of the file, texts change, parts go
/// missing, come twice, or end early. One number decides everything.
/// </summary>
internal sealed class BinaryMutator
{
    private static readonly ulong[] Numbers =
    [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 16, 24, 31, 32, 33, 64, 100, 255, 256, 1024, 4096, 65535, 65536, 1 << 20, 1 << 24, 0x7FFFFFFF, 0x80000000,
        0xFFFFFFFF, 0x100000000, 1UL << 40, 1UL << 61, 1UL << 62, long.MaxValue, 1UL << 63, ulong.MaxValue - 31, ulong.MaxValue,
    ];

    private readonly byte[] _seed;
    private readonly int _structured;
    private readonly byte[] _mutant;
    private int _length;

    /// <summary>Creates a mutator; changes fall on the first <paramref name="structured"/> bytes, where the meaning is.</summary>
    internal BinaryMutator(byte[] seed, int structured)
    {
        _seed = seed;
        _structured = structured;
        _mutant = new byte[(seed.Length * 2) + 1024];
    }

    internal ReadOnlySpan<byte> Mutate(ulong number)
    {
        var random = new SplitMix(number);
        _seed.CopyTo(_mutant, 0);
        _length = _seed.Length;
        for (uint changes = 1 + (random.Below(4) / 2); changes > 0; changes--)
            Change(ref random);
        return _mutant.AsSpan(0, _length);
    }

    private void Change(ref SplitMix random)
    {
        int at = (int)random.Below((uint)Math.Min(_structured, _length - 8));
        Span<byte> here = _mutant.AsSpan(at);
        switch (random.Below(10))
        {
            case 0:
                BinaryPrimitives.WriteUInt64LittleEndian(here, Numbers[random.Below((uint)Numbers.Length)]);
                break;
            case 1 or 2:
                BinaryPrimitives.WriteUInt32LittleEndian(here, (uint)Numbers[random.Below((uint)Numbers.Length)]);
                break;
            case 3:
                here[0] = (byte)random.Below(16);
                break;
            case 4:
                here[0] += (byte)(random.Below(2) == 0 ? 1 : 255);
                break;
            case 5:
                Move(at + (int)random.Below(24), at);
                break;
            case 6:
                Move(at, Math.Min(at + (int)random.Below(24), _mutant.Length - _length + at));
                break;
            case 7 when random.Below(4) == 0:
                _length = Math.Max(8, at);
                break;
            case 8:
                int from = (int)random.Below((uint)Math.Min(_structured, _length - 8));
                _mutant.AsSpan(from, 8).CopyTo(here);
                break;
            default:
                here[0] ^= (byte)(1 << (int)random.Below(8));
                break;
        }
    }

    /// <summary>Moves everything from a place on: forwards doubles what lies between, backwards drops it.</summary>
    private void Move(int from, int to)
    {
        int count = _length - from;
        if (count < 0 || to + count > _mutant.Length || to + count < 8)
            return;
        _mutant.AsSpan(from, count).CopyTo(_mutant.AsSpan(to));
        _length = to + count;
    }
}
