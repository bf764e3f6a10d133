namespace Sluice.Checkpoints;

/// <summary>How far a load has come.</summary>
/// <param name="Bytes">Stored bytes read so far.</param>
/// <param name="TotalBytes">Stored bytes in all.</param>
/// <param name="Elapsed">Time since it began.</param>
/// <param name="Current">One of the things being loaded now.</param>
public readonly record struct LoadProgress(long Bytes, long TotalBytes, TimeSpan Elapsed, string Current)
{
    /// <summary>What has been read of all, from 0 to 1.</summary>
    public double Share => TotalBytes == 0 ? 1 : (double)Bytes / TotalBytes;

    /// <summary>Bytes per second so far.</summary>
    public double BytesPerSecond => Elapsed > TimeSpan.Zero ? Bytes / Elapsed.TotalSeconds : 0;

    /// <summary>What is left at the speed so far; null before anything is known.</summary>
    public TimeSpan? Remaining =>
        Bytes > 0 && Elapsed > TimeSpan.Zero ? Elapsed * ((double)Math.Max(0, TotalBytes - Bytes) / Bytes) : null;
}
