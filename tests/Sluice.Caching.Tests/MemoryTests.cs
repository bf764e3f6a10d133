using Sluice.Caching.Memory;
using Sluice.Core;

namespace Sluice.Caching.Tests;

public sealed class MemoryTests
{
    private static readonly MemoryChecks Checked = new() { Ledger = true, Poison = true };
    private static readonly Holder Someone = Holder.Sequence(1);

    [Theory]
    [InlineData(12, 32 << 10, 36, (2 << 20) + (96 << 10))] // Qwen3-Next-80B, BF16 KV, float32 state and convolution
    [InlineData(12, 16 << 10, 36, (2 << 20) + (96 << 10))] // the same, FP8 KV
    [InlineData(10, 32 << 10, 30, (2 << 20) + (96 << 10))] // Qwen3.5-35B
    [InlineData(16, 64 << 10, 48, (3 << 20) + (120 << 10))] // Qwen3.5-27B
    [InlineData(2, 16 << 10, 6, 268 << 10)] // the demonstration model, float32 KV
    [InlineData(28, 64 << 10, 0, 0)] // Qwen3: no states
    [InlineData(0, 0, 24, 1 << 20)] // states only
    public void The_chosen_superblock_wastes_little(int kvLayers, int kvLayerBytes, int stateLayers, int stateLayerBytes)
    {
        MemoryGeometry geometry = MemoryGeometry.Choose(kvLayers, kvLayerBytes, stateLayers, stateLayerBytes);
        if (kvLayers > 0)
            Assert.InRange(geometry.PagesPerSuperblock * geometry.PageBytes / (double)geometry.SuperblockBytes, 0.96, 1);
        if (stateLayers > 0)
            Assert.InRange(stateLayers * (double)stateLayerBytes / geometry.SlotBytes, 0.96, 1);
        Assert.InRange(geometry.SuperblockBytes, 1, 8 << 20);
    }

    [Fact]
    public void Pages_and_states_of_all_layers_never_overlap()
    {
        var geometry = new MemoryGeometry(3, 70, 5, 120, 700);
        var memory = new HybridMemory(geometry, 700 * 20, Checked);
        var taken = new SortedList<long, long>();
        for (int i = 0; i < 3; i++)
        {
            for (int page = 0; page < 4; page++)
            {
                int number = memory.TakePage(Someone);
                for (int layer = 0; layer < 3; layer++)
                    taken.Add(geometry.PageOffset(number, layer), 70);
            }

            int slot = memory.TakeSlot(Someone);
            for (int layer = 0; layer < 5; layer++)
                taken.Add(geometry.StateOffset(memory.SlotSuperblocks(slot), layer), 120);
        }

        long end = 0;
        foreach ((long start, long bytes) in taken)
        {
            Assert.True(start >= end, $"{start} is inside what ends at {end}");
            end = start + bytes;
        }

        Assert.True(end <= 700 * 20);
    }

    [Fact]
    public void Either_kind_may_have_what_the_other_leaves()
    {
        var geometry = new MemoryGeometry(1, 100, 4, 200, 400);
        var memory = new HybridMemory(geometry, 400 * 8, Checked);
        int[] pages = new int[32];
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < pages.Length; i++)
                Assert.True((pages[i] = memory.TakePage(Someone)) >= 0);
            Assert.Equal(-1, memory.TakePage(Someone));
            Assert.Equal(-1, memory.TakeSlot(Someone));
            memory.CheckIntegrity();
            foreach (int page in pages)
                Assert.True(memory.DropPage(page, Someone));

            int[] slots = new int[4];
            for (int i = 0; i < slots.Length; i++)
                Assert.True((slots[i] = memory.TakeSlot(Someone)) >= 0);
            Assert.Equal(-1, memory.TakePage(Someone));
            memory.CheckIntegrity();
            foreach (int slot in slots)
                memory.DropSlot(slot, Someone);
            Assert.Equal(8, memory.FreeSuperblocks);
        }
    }

    [Fact]
    public void Pages_come_from_the_fullest_superblock()
    {
        var memory = new HybridMemory(new MemoryGeometry(1, 100, 1, 400, 400), 400 * 8, Checked);
        int[] pages = [.. Enumerable.Range(0, 12).Select(_ => memory.TakePage(Someone))];
        foreach (int i in new[] { 0, 1, 2, 4, 5, 8 })
            memory.DropPage(pages[i], Someone);

        // 1, 2 and 3 pages are left of three superblocks: the one with a single free page fills first, then the one with two.
        Assert.Equal(pages[8], memory.TakePage(Someone));
        Assert.Contains(memory.TakePage(Someone), pages[4..6]);
        Assert.Contains(memory.TakePage(Someone), pages[4..6]);
        Assert.Contains(memory.TakePage(Someone), pages[0..3]);
        memory.CheckIntegrity();
    }

    [Fact]
    public void The_ledger_names_who_holds_what_is_wrongly_released()
    {
        var memory = new HybridMemory(new MemoryGeometry(1, 100, 1, 400, 400), 400 * 8, Checked);
        int page = memory.TakePage(Holder.Sequence(3));
        memory.SharePage(page, Holder.Node(7));
        string message = Assert.Throws<IntegrityException>(() => memory.DropPage(page, Holder.Sequence(4))).Message;
        Assert.Contains("sequence 4", message, StringComparison.Ordinal);
        Assert.Contains("sequence 3, node 7", message, StringComparison.Ordinal);
        Assert.Throws<IntegrityException>(() => memory.DropSlot(0, Someone));
    }

    [Fact]
    public void A_budget_too_small_is_refused_with_what_is_needed()
    {
        string message = Assert.Throws<ConfigurationException>(() => new HybridMemory(new MemoryGeometry(1, 100, 4, 200, 400), 1000)).Message;
        Assert.Contains("1200", message, StringComparison.Ordinal);
        Assert.Throws<ConfigurationException>(() => new MemoryGeometry(1, 100, 1, 400, 300));
    }
}
