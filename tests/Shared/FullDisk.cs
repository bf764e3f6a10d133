namespace Sluice.Testing;

/// <summary>
/// A disk that is always full: Linux's <c>/dev/full</c>, behind a link where a file is about to be written. One test at a time, of all that run: files are locked
/// while they are written, and this one is everybody's.
/// </summary>
internal sealed class FullDisk : IDisposable
{
    private const string Device = "/dev/full";

    private readonly FileStream? _turn;

    /// <summary>Waits for its turn.</summary>
    public FullDisk()
    {
        if (!Exists)
            return;
        for (int attempts = 0; _turn is null; attempts++)
        {
            try
            {
                _turn = new FileStream(Path.Combine(Path.GetTempPath(), $"sluice-tests-full-disk-{Environment.UserName}"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (attempts < 3000)
            {
                Thread.Sleep(20);
            }
        }
    }

    /// <summary>Whether this system has such a device.</summary>
    public static bool Exists => File.Exists(Device);

    /// <summary>Makes what is written for <paramref name="path"/>, beside it, go there.</summary>
    public static void PutBehind(string path) => File.CreateSymbolicLink(path + ".unfinished", Device);

    public void Dispose() => _turn?.Dispose();
}
