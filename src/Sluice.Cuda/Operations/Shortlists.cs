using Sluice.Backends;
using Sluice.Cuda.Driver;
using Sluice.Cuda.Memory;

namespace Sluice.Cuda.Operations;

/// <summary>
/// The likeliest tokens of rows of logits, so that sampling need not wait for whole rows to cross the bus. Found by a step's last kernels, which write them
/// to the host's memory themselves and stamp them: a few bytes, for which copies of their own would take longer than the kernels.
/// </summary>
internal sealed unsafe class Shortlists(Launcher launcher) : IDisposable
{
    private const int SliceTokens = 8192; // SLICE of shortlist.cu
    private const int MostSlices = 64;
    private const int Threads = 512; // THREADS of shortlist.cu
    private const int SumsBytes = 16;
    private const int HostBytes = LogitShortlists.RowBytes + sizeof(int);

    // Looks at what the host waits for between two questions whether the card has failed.
    private const int Looks = 1024;

    private readonly ScratchMemory _between = new("shortlists", launcher.Stream);
    private PinnedMemory? _host;
    private int _capacity;
    private int _stamp;

    private int* Done => (int*)(_host!.Address + ((long)_capacity * LogitShortlists.RowBytes));

    /// <summary>A step begins: the stamp that its shortlists will have.</summary>
    public int Begin() => ++_stamp;

    /// <summary>Queues the search in the first <paramref name="rows"/> rows, if rows of so many logits can be handled.</summary>
    public void Find(DeviceStep step, CudaActivation logits, int rows)
    {
        int width = logits.Width;
        int slices = Launcher.CeilDiv(width, SliceTokens);
        if (slices > MostSlices)
            return;

        // Of the activation's size, whatever is asked: recorded steps hold the addresses.
        int keyBytes = slices * LogitShortlists.Length * sizeof(ulong);
        ulong keys = _between.Take((long)logits.Rows * (keyBytes + (slices * SumsBytes)));
        ulong sums = keys + ((ulong)logits.Rows * (ulong)keyBytes);
        Reserve(logits.Rows);
        byte* found = _host!.Address;
        int* done = Done;
        (ulong from, int stride) = logits.Place;
        (ulong asked, ulong stamp) = (step.Asked, step.Stamp);
        launcher.Get("shortlist.cu", "shortlist_parts", static () => []).Launch(
            launcher.Stream, (slices, rows, 1), Threads, 0, &from, &stride, &width, &asked, &keys, &sums);
        launcher.Get("shortlist.cu", "shortlist_merge", static () => []).Launch(
            launcher.Stream, (rows, 1, 1), Threads, 0, &from, &stride, &width, &asked, &keys, &sums, &slices, &found, &done, &stamp);
    }

    /// <summary>Waits for the shortlists of the step that was queued last; false where there are none.</summary>
    public bool TryRead(LogitShortlists lists)
    {
        if (_host is null)
            return false;
        for (int row = 0; row < lists.Count; row++)
            Wait(ref Done[row]);
        new ReadOnlySpan<byte>(_host.Address, lists.Count * LogitShortlists.RowBytes).CopyTo(lists.Rows);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _between.Dispose();
        _host?.Dispose();
    }

    private void Reserve(int rows)
    {
        if (rows <= _capacity)
            return;
        launcher.Stream.Synchronise("making room for shortlists");
        _host?.Dispose();
        _host = new PinnedMemory((long)rows * HostBytes);
        _capacity = rows;
        new Span<byte>(_host.Address, (int)_host.Bytes).Clear();
    }

    // Sooner than the stream's end is told, and no later if the card fails.
    private void Wait(ref int done)
    {
        for (int looks = 1; Volatile.Read(ref done) != _stamp; looks++)
        {
            Thread.SpinWait(1);
            if (looks % Looks == 0 && !launcher.Stream.IsBusy)
            {
                launcher.Stream.Synchronise("a step");
                if (Volatile.Read(ref done) != _stamp)
                    throw new InvalidOperationException("the shortlists' kernels have ended and left nothing");
            }
        }
    }
}
