using System.Globalization;
using Sluice.Core;
using Sluice.Memory;

namespace Sluice.Checkpoints;

/// <summary>
/// A file of a checkpoint being written. It takes its name when it is complete; whatever keeps it from being written before (a full disk, a limit, missing
/// rights) is a <see cref="CheckpointException"/>, and leaves nothing behind.
/// </summary>
internal sealed class OutputFile : IDisposable
{
    private readonly string _path;
    private readonly long _length;
    private readonly UnfinishedFile _file;

    /// <summary>Begins a file of <paramref name="length"/> bytes.</summary>
    internal OutputFile(string path, long length)
    {
        _path = path;
        _length = length;
        if (Directory.Exists(path))
            throw new CheckpointException($"{path}: cannot be written: there is a folder of this name");
        try
        {
            _file = new UnfinishedFile(path, length);
        }
        catch (Exception e) when (IsRefusal(e))
        {
            throw Refused(e);
        }
    }

    /// <summary>Bytes that are still to be written.</summary>
    internal long Left => _length - _file.Position;

    /// <summary>Whether an exception says that a file or folder cannot be written.</summary>
    internal static bool IsRefusal(Exception e) => e is IOException or UnauthorizedAccessException;

    /// <summary>Appends data, at most as much as is left.</summary>
    internal void Write(ReadOnlySpan<byte> data)
    {
        try
        {
            _file.Write(data);
        }
        catch (Exception e) when (IsRefusal(e))
        {
            throw Refused(e);
        }
    }

    /// <summary>Brings everything to the disk, so that only the name is missing.</summary>
    internal void Flush()
    {
        try
        {
            _file.Flush();
        }
        catch (Exception e) when (IsRefusal(e))
        {
            throw Refused(e);
        }
    }

    /// <summary>Gives the file its name, replacing what was there.</summary>
    internal void Complete()
    {
        try
        {
            _file.Complete();
        }
        catch (Exception e) when (IsRefusal(e))
        {
            throw Refused(e);
        }
    }

    /// <summary>Discards the file unless it is complete.</summary>
    public void Dispose() => _file.Dispose();

    private CheckpointException Refused(Exception e) =>
        new(string.Create(CultureInfo.InvariantCulture, $"{_path}: cannot be written ({_length} bytes): {e.Message}"), inner: e);
}
