using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Sluice.Memory;

/// <summary>How a mapped file is about to be read.</summary>
public enum FileAccessAdvice
{
    /// <summary>From front to back: read far ahead.</summary>
    Sequential,

    /// <summary>Soon: begin to read it from the disk now.</summary>
    WillNeed,
}

/// <summary>
/// A whole file, of any size, mapped read-only into memory. Reading from many threads at once is safe; <see cref="Dispose"/>
/// is for the owner, once nobody holds a span of it.
/// </summary>
/// <remarks>
/// <b>A file that is truncated while mapped.</b> Pages beyond the new end no longer exist. Touching one raises SIGBUS (an
/// in-page error on Windows), which .NET turns into an <see cref="AccessViolationException"/> that no program can catch: the
/// process ends. <see cref="CheckUnchanged"/> notices a file that has already shrunk and is cheap enough to call before
/// each tensor, so only a file cut between that call and the read can end the process. On Windows a mapped file cannot be
/// truncated at all.
/// </remarks>
public sealed unsafe class MappedFile : IDisposable
{
    private readonly Lock _lock = new();
    private readonly SafeFileHandle _file;
    private MemoryMappedFile? _map;
    private MemoryMappedViewAccessor? _view;
    private byte* _start;
    private volatile bool _disposed;

    private MappedFile(string path, SafeFileHandle file, long length)
    {
        Path = path;
        _file = file;
        Length = length;
    }

    /// <summary>The path it was opened with.</summary>
    public string Path { get; }

    /// <summary>Bytes, when it was opened.</summary>
    public long Length { get; }

    /// <summary>Opens and maps a file. An empty file is fine and maps nothing.</summary>
    /// <exception cref="IOException">There is no such file, it is not a regular file, or it cannot be mapped.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read.</exception>
    public static MappedFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        SafeFileHandle file = OpenRegular(path);
        try
        {
            var mapped = new MappedFile(path, file, RandomAccess.GetLength(file));
            if (mapped.Length > 0)
                mapped.Map();
            return mapped;
        }
        catch (NotSupportedException e)
        {
            // A pipe or socket has no length.
            file.Dispose();
            throw new IOException($"{path} is not a regular file", e);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>A view of <paramref name="count"/> bytes from <paramref name="offset"/>; it dangles once this is disposed.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range leaves the file.</exception>
    /// <exception cref="ObjectDisposedException">The file has been disposed.</exception>
    public ReadOnlySpan<byte> Span(long offset, int count)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (offset < 0 || count < 0 || offset > Length - count)
            ThrowOutOfRange(offset, count);
        return new ReadOnlySpan<byte>(_start + offset, count);
    }

    /// <summary>The address of <paramref name="count"/> bytes from <paramref name="offset"/>, for as long as this is not disposed.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range leaves the file.</exception>
    /// <exception cref="ObjectDisposedException">The file has been disposed.</exception>
    public byte* Address(long offset, long count)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (offset < 0 || count < 0 || offset > Length - count)
            ThrowOutOfRange(offset, count);
        return _start + offset;
    }

    /// <summary>
    /// Asks for huge pages, which Linux gives to files where the system's cache has them in pieces of 2 MiB: as they were written, or as they are read
    /// once it has been asked. Only a hint.
    /// </summary>
    public void AdviseHugePages()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (OperatingSystem.IsLinux() && Length > 0)
            _ = Posix.Advise(_start, (nuint)Length, Posix.AdviseHugePage);
    }

    /// <summary>Tells the system how a range will be read. Only a hint: where there is no such call it does nothing.</summary>
    public void Advise(FileAccessAdvice advice, long offset = 0, long count = long.MaxValue)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        long end = count > Length - Math.Min(offset, Length) ? Length : offset + count;
        if (!OperatingSystem.IsLinux() || offset >= end)
            return;

        // madvise wants a page boundary; 64 KiB is one for every page size.
        long start = offset & ~0xFFFFL;
        int value = advice == FileAccessAdvice.Sequential ? Posix.AdviseSequential : Posix.AdviseWillNeed;
        _ = Posix.Advise(_start + start, (nuint)(end - start), value);
    }

    /// <summary>Throws when the file no longer has the length it had when it was opened: reading on could end the process.</summary>
    /// <exception cref="IOException">The file has changed its length.</exception>
    public void CheckUnchanged()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        long now = RandomAccess.GetLength(_file);
        if (now < Length)
            throw new IOException($"{Path} was {Length} bytes when it was opened and is {now} bytes now");
    }

    /// <summary>
    /// Asks the system to forget its cached pages of the file, so that the next reading comes from the disk: for measuring a
    /// cold start. Works on Linux only, and only while nobody else has the file mapped; returns whether the call succeeded.
    /// </summary>
    public static bool TryDropCache(string path)
    {
        if (!OperatingSystem.IsLinux())
            return false;
        using SafeFileHandle file = File.OpenHandle(path);
        RandomAccess.FlushToDisk(file);
        return Posix.AdviseFile((int)file.DangerousGetHandle(), 0, 0, Posix.FadviseDontNeed) == 0;
    }

    /// <summary>Unmaps and closes the file. Safe to call twice, and from two threads.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed)
                return;
            _disposed = true;
            if (_start != null)
                _view!.SafeMemoryMappedViewHandle.ReleasePointer();
            _start = null;
            _view?.Dispose();
            _map?.Dispose();
            _file.Dispose();
        }
    }

    private static SafeFileHandle OpenRegular(string path)
    {
        if (!OperatingSystem.IsLinux())
            return File.OpenHandle(path);

        // Opening a pipe waits for a writer, perhaps for ever; non-blocking it opens at once and then has no length.
        if (Directory.Exists(path))
            throw new IOException($"{path} is a directory");
        int descriptor = Posix.Open(path, Posix.OpenReadOnly | Posix.OpenNonBlocking | Posix.OpenCloseOnExec);
        if (descriptor >= 0)
            return new SafeFileHandle(descriptor, ownsHandle: true);

        int error = Marshal.GetLastPInvokeError();
        string why = $"cannot open {path}: {Marshal.GetPInvokeErrorMessage(error)}";
        throw error switch
        {
            2 or 20 => new FileNotFoundException(why, path),
            13 => new UnauthorizedAccessException(why),
            _ => new IOException(why),
        };
    }

    private void Map()
    {
        try
        {
            _map = MemoryMappedFile.CreateFromFile(
                _file, mapName: null, capacity: 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
            _view = _map.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
            byte* start = null;
            _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
            _start = start + _view.PointerOffset;
        }
        catch
        {
            _view?.Dispose();
            _map?.Dispose();
            throw;
        }
    }

    private void ThrowOutOfRange(long offset, long count) => throw new ArgumentOutOfRangeException(
        nameof(offset), $"{count} bytes from {offset} are not in {Path}, which has {Length}");
}
