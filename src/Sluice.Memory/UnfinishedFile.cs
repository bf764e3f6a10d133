namespace Sluice.Memory;

/// <summary>A file being written, beside its place: it takes its name only when it is complete, and is deleted when it is not.</summary>
public sealed class UnfinishedFile : IDisposable
{
    private const int BufferBytes = 1 << 20;
    private const string Suffix = ".unfinished";

    private readonly string _path;
    private readonly string _unfinished;
    private bool _completed;

    /// <summary>Begins a file, or replaces one that was left unfinished.</summary>
    public UnfinishedFile(string path)
        : this(path, path + Suffix, 0)
    {
    }

    private UnfinishedFile(string path, string unfinished, long bytes)
    {
        _path = path;
        _unfinished = unfinished;
        Stream = new FileStream(unfinished, new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            Share = FileShare.None,
            BufferSize = BufferBytes,
            PreallocationSize = bytes,
        });
    }

    /// <summary>Where to write.</summary>
    public FileStream Stream { get; }

    /// <summary>
    /// Begins a file of a known length that several processes may want to write: under a name of its own, since one that another process has just completed
    /// must not be touched. What killed processes have left is deleted first.
    /// </summary>
    /// <exception cref="IOException">Another process is writing it, or there is no room for it.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written.</exception>
    public static UnfinishedFile CreateShared(string path, long bytes)
    {
        string full = Path.GetFullPath(path);
        foreach (string other in Directory.EnumerateFiles(Path.GetDirectoryName(full)!, Path.GetFileName(full) + ".*" + Suffix))
        {
            // A file that is being written is locked.
            try
            {
                new FileStream(other, FileMode.Open, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose).Dispose();
            }
            catch (FileNotFoundException)
            {
            }
            catch (IOException e)
            {
                throw new IOException($"another process is writing {other}", e);
            }
        }

        return new UnfinishedFile(full, $"{full}.{Guid.NewGuid():N}{Suffix}", bytes);
    }

    /// <summary>Gives the file its name, replacing what was there.</summary>
    public void Complete()
    {
        Stream.Flush(flushToDisk: true);
        Stream.Dispose();
        File.Move(_unfinished, _path, overwrite: true);
        _completed = true;
    }

    /// <summary>Discards the file unless it is complete.</summary>
    public void Dispose()
    {
        Stream.Dispose();
        if (!_completed)
            File.Delete(_unfinished);
    }
}
