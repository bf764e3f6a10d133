using System.Runtime.CompilerServices;
using Sluice.Core;

namespace Sluice.Memory;

/// <summary>
/// Native memory that is handed out piece by piece and given back all at once: weights, KV pages, state slots. It comes in
/// blocks aligned to 2 MiB that the kernel is asked to back with huge pages, which is worth 20 to 60 % of the bandwidth at
/// which weights stream. Thread safe, except that nothing may use the memory during or after <see cref="Dispose"/>.
/// </summary>
/// <remarks>
/// There is no finaliser on purpose: pointers into an arena do not keep it alive, so only its owner can know when it may go.
/// <see cref="Outstanding"/> shows what was forgotten.
/// </remarks>
public sealed unsafe class Arena : IDisposable
{
    /// <summary>Alignment of every allocation: a cache line, and one 512-bit vector.</summary>
    public const int Alignment = 64;

    private const long DefaultBlockBytes = 64L << 20;

    private readonly Lock _lock = new();
    private readonly List<NativeBlock> _blocks = [];
    private readonly ArenaRegistry.Entry _entry;
    private readonly long _blockBytes;
    private readonly NumaInterleaving? _interleaving;
    private byte* _next;
    private byte* _end;
    private long _allocated;
    private bool _disposed;

    /// <summary>Creates an empty arena; memory is taken when it is first asked for.</summary>
    /// <param name="name">What it holds, for error messages and <see cref="Outstanding"/>.</param>
    /// <param name="blockBytes">Size of a block, rounded up to 2 MiB, or to pages if it is at most 256 KiB; requests over a quarter of it get a block of their own.</param>
    /// <param name="interleaving">What spreads its memory over nodes, in blocks over 256 KiB; null: it lies where it is first written.</param>
    /// <param name="owner">The member that creates it; filled in by the compiler.</param>
    public Arena(string name, long blockBytes = DefaultBlockBytes, NumaInterleaving? interleaving = null, [CallerMemberName] string owner = "")
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(blockBytes);
        _blockBytes = NativeBlock.RoundUp(blockBytes);
        _interleaving = interleaving;
        _entry = ArenaRegistry.Add(name, owner);
    }

    /// <summary>What it holds.</summary>
    public string Name => _entry.Name;

    /// <summary>Bytes handed out, with what alignment added.</summary>
    public long AllocatedBytes => Interlocked.Read(ref _allocated);

    /// <summary>Bytes taken from the system; pages never touched cost nothing yet.</summary>
    public long ReservedBytes => _entry.ReservedBytes;

    /// <summary>Arenas that have not been disposed, oldest first: what a leak test looks at.</summary>
    public static IReadOnlyList<ArenaInfo> Outstanding => ArenaRegistry.Snapshot();

    /// <summary><paramref name="bytes"/> rounded up to whole units of <see cref="Alignment"/>.</summary>
    /// <exception cref="OverflowException">That is more than a number holds.</exception>
    public static long Align(long bytes) => checked(bytes + Alignment - 1) & -Alignment;

    /// <summary>
    /// Hands out <paramref name="bytes"/> zeroed bytes, aligned to <see cref="Alignment"/>. Zero bytes give a valid pointer to
    /// nothing.
    /// </summary>
    /// <exception cref="BackendException">The memory is not there.</exception>
    /// <exception cref="ObjectDisposedException">The arena has been disposed.</exception>
    public byte* Allocate(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        if (bytes > NativeBlock.MaxBytes)
            throw NativeBlock.OutOfMemory(Name, bytes, "that is more than an address space holds");

        long size = Math.Max(Alignment, Align(bytes));
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            byte* start;
            if (size > _blockBytes / 4)
            {
                start = Take(size).Start;
            }
            else
            {
                if (_end - _next < size)
                {
                    NativeBlock block = Take(_blockBytes);
                    _next = block.Start;
                    _end = block.Start + block.Bytes;
                }

                start = _next;
                _next += size;
            }

            _allocated += size;
            return start;
        }
    }

    /// <summary><see cref="Allocate"/> as a span, for up to 2^31 - 1 elements; it dangles once the arena is disposed.</summary>
    public Span<T> AllocateSpan<T>(int count)
        where T : unmanaged
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        return new Span<T>(Allocate(checked((long)count * sizeof(T))), count);
    }

    /// <summary>Gives all memory back. Safe to call twice.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed)
                return;
            _disposed = true;
            foreach (NativeBlock block in _blocks)
                block.Free();
            _blocks.Clear();
            _next = _end = null;
            ArenaRegistry.Remove(_entry);
        }
    }

    private NativeBlock Take(long bytes)
    {
        NativeBlock block = NativeBlock.Allocate(Name, bytes, _interleaving);
        try
        {
            _blocks.Add(block);
        }
        catch
        {
            block.Free();
            throw;
        }

        _entry.Grow(block.Bytes);
        return block;
    }
}
