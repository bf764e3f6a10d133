namespace Sluice.Cuda.Driver;

/// <summary>A queue of work on the card, in order.</summary>
internal sealed unsafe class CudaStream : IDisposable
{
    public CudaStream()
    {
        nint handle;
        CudaStatus.Check(DriverApi.StreamCreate(&handle, DriverApi.StreamNonBlocking), "creating a stream");
        Handle = handle;
    }

    public nint Handle { get; }

    /// <summary>Whether work is being recorded into a graph rather than done.</summary>
    public bool IsCapturing { get; private set; }

    /// <summary>Whether there is work that has neither ended nor failed.</summary>
    public bool IsBusy => DriverApi.StreamQuery(Handle) == DriverApi.NotReady;

    /// <summary>Waits until all work so far is done; an error of a kernel shows here.</summary>
    public void Synchronise(string what) => CudaStatus.Check(DriverApi.StreamSynchronize(Handle), what);

    /// <summary>Records what <paramref name="work"/> queues, instead of doing it.</summary>
    public CudaGraph Capture(Action work)
    {
        CudaStatus.Check(DriverApi.BeginCapture(Handle, DriverApi.CaptureModeThreadLocal), "beginning a graph");
        IsCapturing = true;
        nint graph = 0;
        bool isRecorded = false;
        try
        {
            work();
            isRecorded = true;
        }
        finally
        {
            // Ended whatever happened: a stream left capturing takes no more work.
            IsCapturing = false;
            int status = DriverApi.EndCapture(Handle, &graph);
            if (isRecorded)
                CudaStatus.Check(status, "ending a graph");
            else if (graph != 0)
                _ = DriverApi.GraphDestroy(graph);
        }

        return new CudaGraph(graph);
    }

    /// <inheritdoc/>
    public void Dispose() => _ = DriverApi.StreamDestroy(Handle);
}

/// <summary>Recorded work that one call starts again.</summary>
internal sealed unsafe class CudaGraph : IDisposable
{
    private readonly nint _executable;

    /// <summary>Takes over a recorded graph.</summary>
    public CudaGraph(nint graph)
    {
        nint executable;
        int status = DriverApi.GraphInstantiate(&executable, graph, 0);
        _ = DriverApi.GraphDestroy(graph);
        CudaStatus.Check(status, "making a graph ready");
        _executable = executable;
    }

    public void Launch(CudaStream stream) => CudaStatus.Check(DriverApi.GraphLaunch(_executable, stream.Handle), "starting a graph");

    /// <inheritdoc/>
    public void Dispose() => _ = DriverApi.GraphExecutableDestroy(_executable);
}

/// <summary>A moment in a stream.</summary>
internal sealed unsafe class CudaEvent : IDisposable
{
    private readonly nint _handle;

    public CudaEvent(bool isTimed = false)
    {
        nint handle;
        CudaStatus.Check(DriverApi.EventCreate(&handle, isTimed ? 0u : DriverApi.EventDisableTiming), "creating an event");
        _handle = handle;
    }

    public void Record(CudaStream stream) => CudaStatus.Check(DriverApi.EventRecord(_handle, stream.Handle), "recording an event");

    public void Wait() => CudaStatus.Check(DriverApi.EventSynchronize(_handle), "waiting for the card");

    /// <summary>Microseconds from <paramref name="start"/> to this; both timed, recorded and past.</summary>
    public double MicrosecondsSince(CudaEvent start)
    {
        float milliseconds;
        CudaStatus.Check(DriverApi.EventElapsed(&milliseconds, start._handle, _handle), "reading a time");
        return milliseconds * 1000.0;
    }

    /// <inheritdoc/>
    public void Dispose() => _ = DriverApi.EventDestroy(_handle);
}
