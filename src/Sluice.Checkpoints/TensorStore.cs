using Sluice.Core;

namespace Sluice.Checkpoints;

/// <summary>
/// Named tensors and the configuration of the model they belong to. Finding and reading is safe from many threads at once;
/// disposing is for the owner, when nobody holds a span or a <see cref="MatrixSource"/> any more.
/// </summary>
public abstract class TensorStore : IDisposable
{
    /// <summary>The model the tensors belong to.</summary>
    public abstract ModelConfig Config { get; }

    /// <summary>Every name there is; empty when the store makes whatever it is asked for.</summary>
    public abstract IReadOnlyCollection<string> Names { get; }

    /// <summary>Whether an optional tensor is there.</summary>
    public abstract bool Has(string name);

    /// <summary>
    /// Finds a tensor, or null. The expectations are for stores that make tensors up; files ignore them, and the caller
    /// compares.
    /// </summary>
    public abstract TensorInfo? Find(string name, ReadOnlySpan<int> expectedShape, DType expectedType);

    /// <summary>
    /// <paramref name="count"/> stored bytes of a tensor from <paramref name="offset"/>: a view of the file, or
    /// <paramref name="scratch"/>, which must hold them, filled.
    /// </summary>
    public abstract ReadOnlySpan<byte> Bytes(TensorInfo tensor, long offset, int count, Span<byte> scratch);

    /// <summary>
    /// The same tensors with value heads in the order that files have them, which its <see cref="Config"/> says; this store itself when that is the usual one.
    /// For backends that take either. It lives no longer than this one, and needs no disposing.
    /// </summary>
    public virtual TensorStore WithStoredHeads() => this;

    /// <summary>Throws when what the tensors are read from has changed since it was opened.</summary>
    /// <exception cref="CheckpointException">A file has been cut short.</exception>
    public virtual void CheckUnchanged()
    {
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases what is held.</summary>
    protected virtual void Dispose(bool disposing)
    {
    }
}
