using System.Globalization;

namespace Sluice.Core;

/// <summary>
/// How KV pages and state slots are cut from one arena. The arena is an array of superblocks of one size; a superblock holds either
/// whole KV pages or whole layers of states, and may change from one to the other whenever it is empty, so that neither kind needs
/// a share of its own.
/// <para>
/// A page holds all its layers together: its address needs no table. A slot is <see cref="SuperblocksPerSlot"/> superblocks from
/// anywhere, <see cref="LayersPerSuperblock"/> layers in each: its address needs the slot's short list of superblocks, and no run of
/// free superblocks is ever looked for.
/// </para>
/// </summary>
public sealed record MemoryGeometry
{
    /// <summary>Tokens of a page unless told otherwise.</summary>
    public const int DefaultPageTokens = 16;

    private const int LargestLayerGroup = 16;

    /// <summary>What each layer in a superblock costs by making it larger, as a share of memory: a guess, since it depends on the load.</summary>
    private const double WastePerLayer = 0.005;

    /// <summary>Describes an arena; either kind of layer may be absent, but not both.</summary>
    /// <param name="kvLayers">Full-attention layers.</param>
    /// <param name="kvLayerBytes">Bytes of one page in one layer, keys and values.</param>
    /// <param name="stateLayers">Linear-attention layers; 0 for a model without states.</param>
    /// <param name="stateLayerBytes">Bytes of one layer's recurrent and convolution state.</param>
    /// <param name="superblockBytes">Bytes of a superblock: at least a whole page and a whole layer of state.</param>
    /// <param name="pageTokens">Tokens of a page.</param>
    /// <exception cref="ConfigurationException">A size is impossible.</exception>
    public MemoryGeometry(
        int kvLayers, long kvLayerBytes, int stateLayers, long stateLayerBytes, long superblockBytes, int pageTokens = DefaultPageTokens)
    {
        Require(kvLayers >= 0 && stateLayers >= 0 && kvLayers + stateLayers > 0, nameof(kvLayers), kvLayers, "layers of some kind");
        Require(kvLayers == 0 || kvLayerBytes > 0, nameof(kvLayerBytes), kvLayerBytes, "a positive size");
        Require(stateLayers == 0 || stateLayerBytes > 0, nameof(stateLayerBytes), stateLayerBytes, "a positive size");
        Require(pageTokens > 0, nameof(pageTokens), pageTokens, "a positive number");
        KvLayers = kvLayers;
        KvLayerBytes = kvLayers == 0 ? 0 : kvLayerBytes;
        StateLayers = stateLayers;
        StateLayerBytes = stateLayers == 0 ? 0 : stateLayerBytes;
        SuperblockBytes = superblockBytes;
        PageTokens = pageTokens;
        PageBytes = checked(KvLayers * KvLayerBytes);
        long unit = Math.Max(PageBytes, StateLayerBytes);
        Require(superblockBytes >= unit, nameof(superblockBytes), superblockBytes, $"at least {unit}: a page over all layers, a layer of state");

        // A model without KV still has page numbers, of no bytes, so that everything above runs unchanged; 64 to a superblock.
        PagesPerSuperblock = PageBytes == 0 ? 64 : checked((int)(superblockBytes / PageBytes));
        if (stateLayers > 0)
        {
            LayersPerSuperblock = (int)Math.Min(stateLayers, superblockBytes / StateLayerBytes);
            SuperblocksPerSlot = (stateLayers + LayersPerSuperblock - 1) / LayersPerSuperblock;
        }
    }

    /// <summary>Tokens of a page.</summary>
    public int PageTokens { get; }

    /// <summary>Full-attention layers.</summary>
    public int KvLayers { get; }

    /// <summary>Bytes of one page in one layer.</summary>
    public long KvLayerBytes { get; }

    /// <summary>Linear-attention layers.</summary>
    public int StateLayers { get; }

    /// <summary>Bytes of one layer's state.</summary>
    public long StateLayerBytes { get; }

    /// <summary>Bytes of a superblock.</summary>
    public long SuperblockBytes { get; }

    /// <summary>Bytes of a page over all layers.</summary>
    public long PageBytes { get; }

    /// <summary>Pages in a superblock that holds pages.</summary>
    public int PagesPerSuperblock { get; }

    /// <summary>Layers of state in a superblock that holds states; 0 for a model without states.</summary>
    public int LayersPerSuperblock { get; }

    /// <summary>Superblocks of a slot; 0 for a model without states.</summary>
    public int SuperblocksPerSlot { get; }

    /// <summary>Bytes a slot takes from the budget, the unused ends of its superblocks included.</summary>
    public long SlotBytes => SuperblocksPerSlot * SuperblockBytes;

    /// <summary>Whether the model has recurrent states. Without them KV alone continues a prefix, at any token.</summary>
    public bool HasStates => StateLayers > 0;

    /// <summary>
    /// Picks the superblock that wastes least: so many layers of state that whole pages fill nearly the same bytes. The 80B (36
    /// layers of 2 MiB and a convolution, pages of 384 KiB) gets 4.2 MiB: 2 layers or 11 pages, with under 2 % lost either way.
    /// </summary>
    /// <param name="kvLayers">Full-attention layers.</param>
    /// <param name="kvLayerBytes">Bytes of one page in one layer.</param>
    /// <param name="stateLayers">Linear-attention layers.</param>
    /// <param name="stateLayerBytes">Bytes of one layer's state.</param>
    /// <param name="pageTokens">Tokens of a page.</param>
    /// <param name="alignment">Bytes a superblock must be a multiple of.</param>
    public static MemoryGeometry Choose(
        int kvLayers, long kvLayerBytes, int stateLayers, long stateLayerBytes, int pageTokens = DefaultPageTokens, int alignment = 256)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(alignment);
        long pageBytes = checked(kvLayers * kvLayerBytes);
        MemoryGeometry? best = null;
        double leastWaste = double.MaxValue;
        for (int group = 1; group <= Math.Max(1, Math.Min(stateLayers, LargestLayerGroup)); group++)
        {
            long bytes = Math.Max(checked(group * stateLayerBytes), pageBytes);
            bytes = checked((bytes + alignment - 1) / alignment * alignment);
            var candidate = new MemoryGeometry(kvLayers, kvLayerBytes, stateLayers, stateLayerBytes, bytes, pageTokens);

            // Smaller superblocks fragment less; a larger one must earn its size.
            double waste = candidate.Waste() + (group * WastePerLayer);
            if (waste < leastWaste)
            {
                best = candidate;
                leastWaste = waste;
            }
        }

        return best!;
    }

    /// <summary>Pages that hold <paramref name="tokens"/> tokens.</summary>
    public int PagesFor(int tokens) => (int)(((long)tokens + PageTokens - 1) / PageTokens);

    /// <summary>Superblocks that hold so many pages and slots.</summary>
    /// <exception cref="ConfigurationException">More than can be numbered.</exception>
    public int SuperblocksFor(int pages, int slots)
    {
        long superblocks = (((long)pages + PagesPerSuperblock - 1) / PagesPerSuperblock) + ((long)slots * SuperblocksPerSlot);
        Require(superblocks * PagesPerSuperblock <= Array.MaxLength, "superblocks", superblocks, $"at most {Array.MaxLength / PagesPerSuperblock}");
        return (int)superblocks;
    }

    /// <summary>Where a page's part of a layer begins in the arena, bytes.</summary>
    public long PageOffset(int page, int kvLayer) =>
        (page / PagesPerSuperblock * SuperblockBytes) + (page % PagesPerSuperblock * PageBytes) + (kvLayer * KvLayerBytes);

    /// <summary>
    /// Where a slot's state of a layer begins in the arena, bytes; <paramref name="superblocks"/> are the slot's.
    /// </summary>
    public long StateOffset(ReadOnlySpan<int> superblocks, int stateLayer) =>
        (superblocks[stateLayer / LayersPerSuperblock] * SuperblockBytes) + (stateLayer % LayersPerSuperblock * StateLayerBytes);

    /// <summary>The larger of the shares of memory that pages and slots leave unused.</summary>
    private double Waste()
    {
        double pages = 1 - ((double)PagesPerSuperblock * PageBytes / SuperblockBytes);
        double slots = HasStates ? 1 - ((double)StateLayers * StateLayerBytes / SlotBytes) : 0;
        return PageBytes == 0 ? slots : Math.Max(pages, slots);
    }

    private static void Require(bool holds, string field, long found, string expected)
    {
        if (!holds)
            throw new ConfigurationException(string.Create(CultureInfo.InvariantCulture, $"memory geometry, {field}: expected {expected}, found {found}"));
    }
}
