using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Sluice.Backends;

/// <summary>
/// What sampling mostly needs of a step's rows of logits, found where the logits are, so that a device need not send whole rows: the likeliest tokens
/// of each, sums over all, and a token drawn. The caller asks for rows, the backend fills them in.
/// </summary>
public sealed class LogitShortlists
{
    /// <summary>Tokens of a shortlist.</summary>
    public const int Length = 64;

    /// <summary>Bytes a backend fills in for each row: total, tempered total, drawn token, flags (0: usable), then logits and ids.</summary>
    public const int RowBytes = 16 + (Length * 8);

    private readonly Wanted[] _asked;
    private readonly byte[] _rows;

    /// <summary>Makes room for so many rows.</summary>
    public LogitShortlists(int rows)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        _asked = new Wanted[rows];
        _rows = new byte[checked(rows * RowBytes)];
    }

    /// <summary>Most rows.</summary>
    public int Capacity => _asked.Length;

    /// <summary>Rows asked for.</summary>
    public int Count { get; private set; }

    /// <summary>What is asked of each row, for a backend: pairs of temperature and uniform number.</summary>
    public ReadOnlySpan<byte> Asked => MemoryMarshal.AsBytes(_asked.AsSpan(0, Count));

    /// <summary>The rows in a backend's hands, <see cref="RowBytes"/> each.</summary>
    public Span<byte> Rows => _rows.AsSpan(0, Count * RowBytes);

    /// <summary>The shortlist of a row.</summary>
    public LogitShortlist this[int row]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Count, nameof(row));
            return new LogitShortlist(_rows.AsSpan(row * RowBytes, RowBytes));
        }
    }

    /// <summary>Begins anew.</summary>
    public void Clear() => Count = 0;

    /// <summary>Asks for the next row, in the order of the step's rows of logits.</summary>
    /// <param name="temperature">For the tempered total; 0 where none is needed.</param>
    /// <param name="uniform">In [0, 1): decides the token drawn from the whole row; negative where none is wanted.</param>
    public void Ask(float temperature, double uniform) =>
        _asked[Count++] = new Wanted(temperature, Math.Min((float)uniform, MathF.BitDecrement(1)));

    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Wanted(float Temperature, float Uniform);
}

/// <summary>The likeliest tokens of a row of logits, and sums over all of it.</summary>
public readonly ref struct LogitShortlist
{
    private readonly ReadOnlySpan<byte> _row;

    /// <summary>A view of <see cref="LogitShortlists.RowBytes"/> bytes.</summary>
    public LogitShortlist(ReadOnlySpan<byte> row) => _row = row;

    /// <summary>Whether it may be relied on; if not, the row itself must be looked at: it holds NaN, or very many equal logits.</summary>
    public bool IsUsable => Unsafe.ReadUnaligned<int>(in _row[12]) == 0;

    /// <summary>Sum of <c>exp(logit - largest)</c> over all tokens.</summary>
    public float Total => Unsafe.ReadUnaligned<float>(in _row[0]);

    /// <summary>Sum of <c>exp((logit - largest) / temperature)</c> over all tokens.</summary>
    public float TemperedTotal => Unsafe.ReadUnaligned<float>(in _row[4]);

    /// <summary>The token drawn from all, or -1.</summary>
    public int Drawn => Unsafe.ReadUnaligned<int>(in _row[8]);

    /// <summary>The largest logits, descending, equal ones by ascending id; fewer than the length where fewer are possible.</summary>
    public ReadOnlySpan<float> Logits => MemoryMarshal.Cast<byte, float>(_row.Slice(16, LogitShortlists.Length * sizeof(float)))[..Ids.Length];

    /// <summary>Whose they are.</summary>
    public ReadOnlySpan<int> Ids
    {
        get
        {
            ReadOnlySpan<int> ids = MemoryMarshal.Cast<byte, int>(_row[(16 + (LogitShortlists.Length * sizeof(float)))..]);
            int nobody = ids.IndexOf(-1);
            return nobody < 0 ? ids : ids[..nobody];
        }
    }
}
