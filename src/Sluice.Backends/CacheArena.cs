using Sluice.Core;

namespace Sluice.Backends;

/// <summary>What sequences of a model keep on the device: keys and values of some layers, states of others.</summary>
/// <param name="KvLayers">Full-attention layers.</param>
/// <param name="KvHeads">Key and value heads.</param>
/// <param name="HeadDim">Elements of a head.</param>
/// <param name="StateLayers">Linear-attention layers.</param>
/// <param name="Linear">Their heads and widths; null when there are none.</param>
public sealed record CacheShape(int KvLayers, int KvHeads, int HeadDim, int StateLayers = 0, LinearAttentionConfig? Linear = null)
{
    /// <summary>The shape of a model.</summary>
    public static CacheShape Of(ModelConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        int attention = config.Layers.Count(kind => kind == LayerKind.FullAttention);
        return new CacheShape(attention, config.Attention.KvHeads, config.Attention.HeadDim, config.LayerCount - attention, config.LinearAttention);
    }

    /// <summary>The shape of states alone.</summary>
    public static CacheShape OfStates(int layers, LinearAttentionConfig shape) => new(0, 0, 0, layers, shape);
}

/// <summary>
/// One block of device memory for the KV pages and state slots of all sequences, cut into superblocks as <see cref="Geometry"/> says. Which
/// superblock holds what is decided above; the arena learns of it only for states, by <see cref="MapSlot"/>. Used by one thread, in
/// order with the backend's operations.
/// </summary>
public abstract class CacheArena : IDisposable
{
    /// <summary>Creates the handle.</summary>
    protected CacheArena(MemoryGeometry geometry, int superblocks)
    {
        ArgumentNullException.ThrowIfNull(geometry);
        ArgumentOutOfRangeException.ThrowIfNegative(superblocks);
        if (geometry.PageTokens != KvCache.PageTokens)
            throw new ArgumentException($"expected pages of {KvCache.PageTokens} tokens, found {geometry.PageTokens}", nameof(geometry));
        Geometry = geometry;
        Superblocks = superblocks;
    }

    /// <summary>How it is cut.</summary>
    public MemoryGeometry Geometry { get; }

    /// <summary>Superblocks.</summary>
    public int Superblocks { get; }

    /// <summary>Page numbers there are.</summary>
    public int Pages => Superblocks * Geometry.PagesPerSuperblock;

    /// <summary>Slot numbers there are.</summary>
    public int Slots => Geometry.HasStates ? Superblocks / Geometry.SuperblocksPerSlot : 0;

    /// <summary>Keys and values; null for a shape without any.</summary>
    public abstract KvCache? Kv { get; }

    /// <summary>States; null for a shape without any.</summary>
    public abstract StateCache? States { get; }

    /// <summary>Gives a slot its superblocks, [<see cref="MemoryGeometry.SuperblocksPerSlot"/>]: where it is from now on.</summary>
    public abstract void MapSlot(int slot, ReadOnlySpan<int> superblocks);

    /// <summary>Copies a page, all layers.</summary>
    public abstract void CopyPage(int from, int to);

    /// <summary>Copies a slot, all layers, recurrent and convolution states.</summary>
    public abstract void CopySlot(int from, int to);

    /// <summary>Fills a page with NaN, so that whoever reads it without writing it first is found out.</summary>
    public abstract void PoisonPage(int page);

    /// <summary>Fills a slot with NaN.</summary>
    public abstract void PoisonSlot(int slot);

    /// <summary>
    /// Lays the arena out once and for all, for uses without a cache: pages 0 to <paramref name="pages"/> - 1 first, slots 0 to
    /// <paramref name="slots"/> - 1 behind them. <see cref="MemoryGeometry.SuperblocksFor"/> says how many superblocks that takes.
    /// </summary>
    public void LayOut(int pages, int slots)
    {
        int next = Geometry.SuperblocksFor(pages, 0);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(Geometry.SuperblocksFor(pages, slots), Superblocks, nameof(slots));
        Span<int> superblocks = stackalloc int[Geometry.SuperblocksPerSlot];
        for (int slot = 0; slot < slots && Geometry.HasStates; slot++)
        {
            foreach (ref int superblock in superblocks)
                superblock = next++;
            MapSlot(slot, superblocks);
        }
    }

    /// <inheritdoc/>
    public abstract void Dispose();
}

/// <summary>Arenas of fixed contents.</summary>
public static class CacheArenas
{
    /// <summary>Creates an arena for so many pages and slots, laid out (<see cref="CacheArena.LayOut"/>).</summary>
    public static CacheArena CreateArena(this IBackend backend, CacheShape shape, int pages, int slots)
    {
        ArgumentNullException.ThrowIfNull(backend);
        CacheArena arena = backend.CreateArena(shape, backend.GeometryOf(shape).SuperblocksFor(pages, slots));
        arena.LayOut(pages, slots);
        return arena;
    }
}
