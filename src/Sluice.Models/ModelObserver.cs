using Sluice.Backends;

namespace Sluice.Models;

/// <summary>Where in a forward pass an observer is called.</summary>
public enum ModelPoint
{
    /// <summary>After the embedding.</summary>
    Embedding,

    /// <summary>After a layer: the residual stream it leaves.</summary>
    Layer,

    /// <summary>After the final norm; rows are those of <see cref="StepBatch.LogitRows"/>.</summary>
    FinalNorm,
}

/// <summary>
/// Sees the hidden states of a step, for verification. It may read rows with <see cref="IBackend.Read"/>, which waits for the device;
/// it must not call operations.
/// </summary>
/// <param name="point">Where the pass is.</param>
/// <param name="layer">The layer just done, from 0, at <see cref="ModelPoint.Layer"/>; else -1.</param>
/// <param name="batch">The step.</param>
/// <param name="hidden">Hidden states, [rows, hidden].</param>
public delegate void ModelObserver(ModelPoint point, int layer, StepBatch batch, Activation hidden);
