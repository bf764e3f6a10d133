namespace Sluice.Checkpoints;

/// <summary>A file being written, beside its place: it takes its name only when it is complete, and is deleted when it is not.</summary>
internal sealed class UnfinishedFile : IDisposable
{
    private const int BufferBytes = 1 << 20;

    private readonly string _path;
    private bool _completed;

    /// <summary>Begins a file, or replaces one that was left unfinished.</summary>
    internal UnfinishedFile(string path)
    {
        _path = path;
        Stream = new FileStream(Unfinished, FileMode.Create, FileAccess.Write, FileShare.None, BufferBytes);
    }

    /// <summary>Where to write.</summary>
    internal FileStream Stream { get; }

    private string Unfinished => _path + ".unfinished";

    /// <summary>Gives the file its name, replacing what was there.</summary>
    internal void Complete()
    {
        Stream.Flush(flushToDisk: true);
        Stream.Dispose();
        File.Move(Unfinished, _path, overwrite: true);
        _completed = true;
    }

    /// <summary>Discards the file unless it is complete.</summary>
    public void Dispose()
    {
        Stream.Dispose();
        if (!_completed)
            File.Delete(Unfinished);
    }
}
