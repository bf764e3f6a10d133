namespace Sluice.Memory;

/// <summary>A file being written, beside its place: it takes its name only when it is complete, and is deleted when it is not.</summary>
public sealed class UnfinishedFile : IDisposable
{
    private const int BufferBytes = 1 << 20;
    private const string Suffix = ".unfinished";

    private readonly string _path;
    private readonly string _unfinished;
    private readonly FileStream _stream;
    private bool _completed;

    /// <summary>Begins a file, or replaces one that was left unfinished.</summary>
    /// <param name="path">Where it will be.</param>
    /// <param name="bytes">Its length, for which room is claimed at once where the file system can; 0 when it is not known.</param>
    /// <exception cref="IOException">There is no room for it.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written.</exception>
    public UnfinishedFile(string path, long bytes = 0)
        : this(path, path + Suffix, bytes)
    {
    }

    private UnfinishedFile(string path, string unfinished, long bytes)
    {
        _path = path;
        _unfinished = unfinished;
        _stream = new FileStream(unfinished, new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            Share = FileShare.None,
            BufferSize = BufferBytes,
            PreallocationSize = bytes,
        });
    }

    /// <summary>Bytes written so far.</summary>
    public long Position => _stream.Position;

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

    /// <summary>Appends data.</summary>
    /// <exception cref="IOException">The disk is full, the file is longer than files may be, or it cannot be written for another reason.</exception>
    public void Write(ReadOnlySpan<byte> data)
    {
        try
        {
            _stream.Write(data);
        }
        catch (ArgumentOutOfRangeException e)
        {
            throw TooLong(e);
        }
    }

    /// <summary>Brings everything to the disk, so that only the name is missing.</summary>
    /// <exception cref="IOException">As <see cref="Write"/>.</exception>
    public void Flush()
    {
        try
        {
            _stream.Flush(flushToDisk: true);
        }
        catch (ArgumentOutOfRangeException e)
        {
            throw TooLong(e);
        }
    }

    /// <summary>Gives the file its name, replacing what was there.</summary>
    /// <exception cref="IOException">As <see cref="Write"/>.</exception>
    public void Complete()
    {
        Flush();
        _stream.Dispose();
        File.Move(_unfinished, _path, overwrite: true);
        _completed = true;
    }

    /// <summary>Discards the file unless it is complete.</summary>
    public void Dispose()
    {
        try
        {
            _stream.Dispose();
        }
        catch (Exception e) when (!_completed && e is IOException or ArgumentOutOfRangeException or UnauthorizedAccessException)
        {
            // What is still in the buffer of a file that cannot be written is to be discarded with it.
        }

        if (_completed)
            return;
        try
        {
            File.Delete(_unfinished);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The name says that it is not finished.
        }
    }

    /// <summary>.NET has no other name for EFBIG: the limit of the file system (4 GiB on FAT) or of the process.</summary>
    private IOException TooLong(ArgumentOutOfRangeException e) => new($"longer than files may be here : '{_unfinished}'", e);
}
