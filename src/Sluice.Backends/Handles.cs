using Sluice.Core;

namespace Sluice.Backends;

/// <summary>
/// A device's matrix of activations, [rows, width], in the device's activation type (float32 on the CPU). Rows beyond those a
/// step uses hold garbage. Allocated once for the largest step, then reused.
/// </summary>
public abstract class Activation
{
    /// <summary>Creates the handle.</summary>
    protected Activation(int rows, int width)
    {
        Rows = rows;
        Width = width;
    }

    /// <summary>Rows allocated.</summary>
    public int Rows { get; }

    /// <summary>Columns of this view.</summary>
    public int Width { get; }

    /// <summary>A view of <paramref name="count"/> columns from <paramref name="start"/>; it shares memory with this.</summary>
    public abstract Activation Columns(int start, int count);
}

/// <summary>A linear layer's weights, [rows = output features, columns = input features], packed as the device wants them.</summary>
public abstract class Matrix
{
    /// <summary>Creates the handle.</summary>
    protected Matrix(int rows, int columns, long bytes)
    {
        Rows = rows;
        Columns = columns;
        Bytes = bytes;
    }

    /// <summary>Output features.</summary>
    public int Rows { get; }

    /// <summary>Input features.</summary>
    public int Columns { get; }

    /// <summary>Device memory taken, bytes, scales and padding included: what one pass over the weights reads.</summary>
    public long Bytes { get; }
}

/// <summary>A float32 vector of weights: a norm, a bias, a convolution, a gate's constants.</summary>
public abstract class Vector
{
    /// <summary>Creates the handle.</summary>
    protected Vector(int length) => Length = length;

    /// <summary>Elements.</summary>
    public int Length { get; }
}

/// <summary>The experts of one layer.</summary>
public abstract class ExpertWeights
{
    /// <summary>Creates the handle.</summary>
    protected ExpertWeights(int count, long bytes)
    {
        Count = count;
        Bytes = bytes;
    }

    /// <summary>Experts.</summary>
    public int Count { get; }

    /// <summary>Device memory taken by all of them, bytes.</summary>
    public long Bytes { get; }
}

/// <summary>One expert as stored: gate and up are [intermediate, hidden], down is [hidden, intermediate].</summary>
/// <param name="Gate">gate_proj.</param>
/// <param name="Up">up_proj.</param>
/// <param name="Down">down_proj.</param>
public readonly record struct ExpertSource(MatrixSource Gate, MatrixSource Up, MatrixSource Down);

/// <summary>The experts chosen for each row of a step and their weights, as the device keeps them: [rows, topK].</summary>
public abstract class Routing
{
    /// <summary>Creates the handle.</summary>
    protected Routing(int rows, int topK)
    {
        Rows = rows;
        TopK = topK;
    }

    /// <summary>Rows allocated.</summary>
    public int Rows { get; }

    /// <summary>Experts of a row.</summary>
    public int TopK { get; }
}

/// <summary>
/// Keys and values of every full-attention layer in pages of <see cref="PageTokens"/> tokens. A page number addresses the same
/// page of every layer. Which page is whose is decided above. Part of a <see cref="CacheArena"/>.
/// </summary>
public abstract class KvCache
{
    /// <summary>Tokens of a page.</summary>
    public const int PageTokens = MemoryGeometry.DefaultPageTokens;

    /// <summary>Creates the handle.</summary>
    protected KvCache(int layers, int pages, int kvHeads, int headDim)
    {
        Layers = layers;
        Pages = pages;
        KvHeads = kvHeads;
        HeadDim = headDim;
    }

    /// <summary>Full-attention layers.</summary>
    public int Layers { get; }

    /// <summary>Pages.</summary>
    public int Pages { get; }

    /// <summary>Key and value heads.</summary>
    public int KvHeads { get; }

    /// <summary>Elements of a head.</summary>
    public int HeadDim { get; }
}

/// <summary>
/// The recurrent and convolution states of every linear-attention layer, in slots: one slot holds the state of one sequence at
/// one position, for all layers. Part of a <see cref="CacheArena"/>.
/// </summary>
public abstract class StateCache
{
    /// <summary>Creates the handle.</summary>
    protected StateCache(int layers, int slots, LinearAttentionConfig shape)
    {
        Layers = layers;
        Slots = slots;
        Shape = shape;
    }

    /// <summary>Linear-attention layers.</summary>
    public int Layers { get; }

    /// <summary>Slots.</summary>
    public int Slots { get; }

    /// <summary>Heads and widths.</summary>
    public LinearAttentionConfig Shape { get; }
}
