using Sluice.Backends;
using Sluice.Cuda.Driver;
using Sluice.Cuda.Memory;

namespace Sluice.Cuda.Operations;

/// <summary>The likeliest tokens of rows of logits, so that sampling need not wait for whole rows to cross the bus.</summary>
internal sealed unsafe class Shortlists(Launcher launcher) : IDisposable
{
    private const int SliceTokens = 8192; // SLICE of shortlist.cu
    private const int MostSlices = 64;
    private const int AskedBytes = 8;
    private const int SumsBytes = 16;
    private const int HostBytes = LogitShortlists.RowBytes + AskedBytes + sizeof(int);

    // Looks at what the host waits for between two questions whether the card has failed.
    private const int Looks = 1024;

    private readonly ScratchMemory _between = new("shortlists", launcher.Stream);
    private PinnedMemory? _host;
    private int _stamp;

    /// <summary>Whether rows of so many logits can be handled.</summary>
    public static bool Holds(int vocabulary) => vocabulary <= SliceTokens * MostSlices;

    /// <summary>Fills in the shortlists of the first rows of <paramref name="logits"/>, as many as are asked for; waits for them.</summary>
    public void Run(CudaActivation logits, LogitShortlists lists)
    {
        int rows = lists.Count;
        int width = logits.Width;
        int slices = Launcher.CeilDiv(width, SliceTokens);
        int keyBytes = slices * LogitShortlists.Length * sizeof(ulong);
        ulong keys = _between.Take((long)lists.Capacity * (keyBytes + (slices * SumsBytes)));
        ulong sums = keys + ((ulong)rows * (ulong)keyBytes);
        if (_host is null)
        {
            _host = new PinnedMemory((long)lists.Capacity * HostBytes);
            new Span<byte>(_host.Address, (int)_host.Bytes).Clear();
        }

        if (_host.Bytes < (long)rows * HostBytes)
            throw new InvalidOperationException("shortlists of one backend are all of the same capacity");

        // The card reads and writes this memory itself: a few bytes, for which copies of their own would take longer than the kernels.
        byte* found = _host.Address;
        byte* asked = found + (lists.Capacity * LogitShortlists.RowBytes);
        int* done = (int*)(asked + (lists.Capacity * AskedBytes));
        lists.Asked.CopyTo(new Span<byte>(asked, rows * AskedBytes));
        int stamp = ++_stamp;
        (ulong from, int stride) = logits.Place;
        launcher.Get("shortlist.cu", "shortlist_parts", static () => []).Launch(
            launcher.Stream, (slices, rows, 1), 256, 0, &from, &stride, &width, &asked, &keys, &sums);
        launcher.Get("shortlist.cu", "shortlist_merge", static () => []).Launch(
            launcher.Stream, (rows, 1, 1), 1024, 0, &from, &stride, &width, &asked, &keys, &sums, &slices, &found, &done, &stamp);
        for (int row = 0; row < rows; row++)
            Wait(ref done[row], stamp);
        new ReadOnlySpan<byte>(found, rows * LogitShortlists.RowBytes).CopyTo(lists.Rows);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _between.Dispose();
        _host?.Dispose();
    }

    // Sooner than the stream's end is told, and no later if the card fails.
    private void Wait(ref int done, int stamp)
    {
        for (int looks = 1; Volatile.Read(ref done) != stamp; looks++)
        {
            Thread.SpinWait(1);
            if (looks % Looks == 0 && !launcher.Stream.IsBusy)
            {
                launcher.Stream.Synchronise("a step");
                if (Volatile.Read(ref done) != stamp)
                    throw new InvalidOperationException("the shortlists' kernels have ended and left nothing");
            }
        }
    }
}
