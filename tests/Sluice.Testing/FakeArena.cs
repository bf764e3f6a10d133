using Sluice.Backends;
using Sluice.Core;

namespace Sluice.Testing;

/// <summary>What one token of the fake model leaves in its page.</summary>
internal readonly record struct FakeCell(int Token, int Position)
{
    public ulong Packed => ((ulong)(uint)Position << 32) | (uint)Token;

    public static FakeCell Unpack(ulong packed) => new((int)(uint)packed, (int)(packed >> 32));
}

/// <summary>The fake model's recurrent state: a hash of all tokens so far, and how many they are.</summary>
internal readonly record struct FakeState(ulong Hash, int Position);

/// <summary>
/// The memory of <see cref="FakeModel"/>: pages and states share one array of words exactly as <see cref="MemoryGeometry"/> cuts it, and a
/// state fills all its layers, so that whoever writes where he should not spoils what was there. Memory nobody has written holds
/// garbage, as a device's does.
/// </summary>
public sealed class FakeArena : CacheArena
{
    private const ulong Garbage = 0xD1B54A32D192ED03;

    private readonly ulong[] _words;
    private readonly int[] _slots;

    /// <summary>Creates memory.</summary>
    public FakeArena(MemoryGeometry geometry, int superblocks)
        : base(geometry, superblocks)
    {
        _words = new ulong[superblocks * geometry.SuperblockBytes / sizeof(ulong)];
        for (int i = 0; i < _words.Length; i++)
            _words[i] = FakeModel.Mix(Garbage, (ulong)i);
        _slots = new int[Slots * geometry.SuperblocksPerSlot];
        Array.Fill(_slots, -1);
    }

    /// <summary>Bytes of a page: 16 tokens of a word each, in the one layer there is.</summary>
    public const int PageBytes = KvCache.PageTokens * sizeof(ulong);

    /// <inheritdoc/>
    public override KvCache? Kv => null;

    /// <inheritdoc/>
    public override StateCache? States => null;

    /// <summary>Copies and poisonings so far.</summary>
    public long Operations { get; private set; }

    /// <summary>Superblocks of so many pages, or of four layers of states.</summary>
    public static MemoryGeometry GeometryOf(int stateLayers, int pagesPerSuperblock = 4) => new(
        1, PageBytes, stateLayers, stateLayers == 0 ? 0 : PageBytes * pagesPerSuperblock / 4, PageBytes * pagesPerSuperblock);

    internal FakeCell Cell(int page, int offset) => FakeCell.Unpack(_words[Word(page) + offset]);

    internal void SetCell(int page, int offset, FakeCell cell) => _words[Word(page) + offset] = cell.Packed;

    /// <summary>A state; one that is not whole has another hash.</summary>
    internal FakeState State(int slot)
    {
        Span<ulong> first = Layer(slot, 0);
        var state = new FakeState(first[0], (int)(uint)first[1]);
        for (int layer = 0; layer < Geometry.StateLayers; layer++)
        {
            Span<ulong> words = Layer(slot, layer);
            for (int i = 0; i < words.Length; i++)
            {
                if (words[i] != Expected(state, layer, i))
                    return state with { Hash = FakeModel.Mix(state.Hash, Garbage) };
            }
        }

        return state;
    }

    internal void SetState(int slot, FakeState state)
    {
        for (int layer = 0; layer < Geometry.StateLayers; layer++)
        {
            Span<ulong> words = Layer(slot, layer);
            for (int i = 0; i < words.Length; i++)
                words[i] = Expected(state, layer, i);
        }
    }

    /// <inheritdoc/>
    public override void MapSlot(int slot, ReadOnlySpan<int> superblocks) =>
        superblocks.CopyTo(_slots.AsSpan(slot * Geometry.SuperblocksPerSlot, Geometry.SuperblocksPerSlot));

    /// <inheritdoc/>
    public override void CopyPage(int from, int to)
    {
        Operations++;
        Page(from).CopyTo(Page(to));
    }

    /// <inheritdoc/>
    public override void CopySlot(int from, int to)
    {
        Operations++;
        for (int layer = 0; layer < Geometry.StateLayers; layer++)
            Layer(from, layer).CopyTo(Layer(to, layer));
    }

    /// <inheritdoc/>
    public override void PoisonPage(int page)
    {
        Operations++;
        Page(page).Fill(ulong.MaxValue);
    }

    /// <inheritdoc/>
    public override void PoisonSlot(int slot)
    {
        Operations++;
        for (int layer = 0; layer < Geometry.StateLayers; layer++)
            Layer(slot, layer).Fill(ulong.MaxValue);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
    }

    private static ulong Expected(FakeState state, int layer, int word) => (layer, word) switch
    {
        (0, 0) => state.Hash,
        (0, 1) => (uint)state.Position,
        _ => FakeModel.Mix(state.Hash, ((ulong)(uint)state.Position << 32) | ((uint)layer << 16) | (uint)word),
    };

    private int Word(int page) => (int)(Geometry.PageOffset(page, 0) / sizeof(ulong));

    private Span<ulong> Page(int page) => _words.AsSpan(Word(page), KvCache.PageTokens);

    private Span<ulong> Layer(int slot, int layer)
    {
        ReadOnlySpan<int> superblocks = _slots.AsSpan(slot * Geometry.SuperblocksPerSlot, Geometry.SuperblocksPerSlot);
        return _words.AsSpan((int)(Geometry.StateOffset(superblocks, layer) / sizeof(ulong)), (int)(Geometry.StateLayerBytes / sizeof(ulong)));
    }
}
