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

    private readonly ScratchMemory _between = new("shortlists", launcher.Stream);
    private PinnedMemory? _host;

    /// <summary>Whether rows of so many logits can be handled.</summary>
    public static bool Holds(int vocabulary) => vocabulary <= SliceTokens * MostSlices;

    /// <summary>Fills in the shortlists of the first rows of <paramref name="logits"/>, as many as are asked for; waits for them.</summary>
    public void Run(CudaActivation logits, LogitShortlists lists)
    {
        int rows = lists.Count;
        int width = logits.Width;
        int slices = Launcher.CeilDiv(width, SliceTokens);
        int keyBytes = slices * LogitShortlists.Length * sizeof(ulong);
        int rowBytes = AskedBytes + LogitShortlists.RowBytes + keyBytes + (slices * SumsBytes);
        ulong keys = _between.Take((long)lists.Capacity * rowBytes);
        ulong sums = keys + ((ulong)rows * (ulong)keyBytes);
        ulong results = sums + ((ulong)rows * (ulong)(slices * SumsBytes));
        ulong asked = results + ((ulong)rows * LogitShortlists.RowBytes);
        _host ??= new PinnedMemory((long)lists.Capacity * (AskedBytes + LogitShortlists.RowBytes));
        if (_host.Bytes < (long)rows * (AskedBytes + LogitShortlists.RowBytes))
            throw new InvalidOperationException("shortlists of one backend are all of the same capacity");

        lists.Asked.CopyTo(new Span<byte>(_host.Address, rows * AskedBytes));
        CudaStatus.Check(DriverApi.CopyToDevice(asked, _host.Address, (nuint)(rows * AskedBytes), launcher.Stream.Handle), "asking for shortlists");
        (ulong from, int stride) = logits.Place;
        launcher.Get("shortlist.cu", "shortlist_parts", static () => []).Launch(
            launcher.Stream, (slices, rows, 1), 256, 0, &from, &stride, &width, &asked, &keys, &sums);
        launcher.Get("shortlist.cu", "shortlist_merge", static () => []).Launch(
            launcher.Stream, (rows, 1, 1), 1024, 0, &from, &stride, &width, &asked, &keys, &sums, &slices, &results);
        byte* back = _host.Address + (lists.Capacity * AskedBytes);
        CudaStatus.Check(DriverApi.CopyToHost(back, results, (nuint)(rows * LogitShortlists.RowBytes), launcher.Stream.Handle), "reading shortlists");
        launcher.Stream.Synchronise("a step");
        new ReadOnlySpan<byte>(back, rows * LogitShortlists.RowBytes).CopyTo(lists.Rows);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _between.Dispose();
        _host?.Dispose();
    }
}
