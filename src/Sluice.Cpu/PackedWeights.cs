using System.Globalization;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu;

/// <summary>
/// The weights of a backend that keeps them packed in a file: whether they came from it, and a way to write it where they did not. Of one model: a backend that
/// loads several, one after another, has no use for this.
/// </summary>
public sealed class PackedWeights : IDisposable
{
    private readonly Lock _lock = new();
    private readonly PackedWeightsOptions _options;
    private readonly ActivationPrecision _precision;
    private readonly PackedFile? _file;
    private readonly string? _refusal;
    private readonly List<WeightPiece> _pieces = [];
    private int _missing;

    internal PackedWeights(PackedWeightsOptions options, ActivationPrecision precision)
    {
        _options = options;
        _precision = precision;
        _file = PackedFile.Open(options, precision, out _refusal);
    }

    /// <summary>The file.</summary>
    public string Path => _options.Path;

    /// <summary>Whether all weights loaded so far lie in the file, mapped.</summary>
    public bool AreMapped
    {
        get
        {
            lock (_lock)
                return _missing == 0 && _pieces.Count > 0;
        }
    }

    /// <summary>Why the file was not used, to follow its name; null where it was used or there was none.</summary>
    public string? Refusal
    {
        get
        {
            lock (_lock)
                return _refusal ?? (_file is not null && _missing > 0 ? string.Create(CultureInfo.InvariantCulture, $"lacks {_missing} of {_pieces.Count} pieces") : null);
        }
    }

    /// <summary>Why the last <see cref="TryWrite"/> failed; null before that, and when it did not.</summary>
    public string? Failure { get; private set; }

    /// <summary>Bytes that a file of the weights loaded so far has.</summary>
    public long Bytes
    {
        get
        {
            lock (_lock)
                return PackedFileWriter.LengthOf(_pieces);
        }
    }

    /// <summary>
    /// Writes the file, or replaces it, once all weights have been loaded. The weights stay where they are, so the model may run meanwhile. A file that cannot be
    /// written is no reason to stop: <see cref="Failure"/> says what happened.
    /// </summary>
    /// <param name="progress">Told of bytes written.</param>
    /// <param name="cancellation">Gives up; nothing is left then.</param>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> was cancelled.</exception>
    public bool TryWrite(IProgress<long>? progress = null, CancellationToken cancellation = default)
    {
        // In the order of names: then what a layer needs lies together.
        List<WeightPiece> pieces;
        lock (_lock)
            pieces = [.. _pieces.OrderBy(piece => piece.Name, StringComparer.Ordinal).ThenBy(piece => piece.Key.First).DistinctBy(piece => piece.Key)];
        try
        {
            Directory.CreateDirectory(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(Path))!);
            PackedFileWriter.Write(_options, _precision, pieces, progress, cancellation);
            Failure = null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Failure = e.Message;
        }

        return Failure is null;
    }

    /// <summary>Unmaps the file. Its backend does this.</summary>
    public void Dispose() => _file?.Dispose();

    internal unsafe byte* Find(in WeightKey key, long bytes) => _file is null ? null : _file.Find(key, bytes);

    internal void Add(in WeightPiece piece, bool isMapped)
    {
        lock (_lock)
        {
            _pieces.Add(piece);
            _missing += isMapped ? 0 : 1;
        }
    }
}
