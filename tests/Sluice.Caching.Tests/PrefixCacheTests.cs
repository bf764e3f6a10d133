using Sluice.Caching.Memory;
using Sluice.Caching.Planning;
using Sluice.Caching.Sequences;
using Sluice.Caching.Tree;
using Sluice.Core;

namespace Sluice.Caching.Tests;

/// <summary>What users of other engines complained about, one case each, and how a request lives.</summary>
public sealed class PrefixCacheTests
{
    private static readonly MemoryGeometry Small = new(1, 1600, 2, 3200, 6400);

    [Theory]
    [InlineData(2)]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(512)]
    [InlineData(1024)]
    [InlineData(1025)]
    public void The_same_prompt_again_computes_one_token_whatever_its_length(int length)
    {
        PrefixCache cache = Ample(new PlannerOptions { MinimumGain = 1 });
        int[] prompt = Tokens(1, length);
        Serve(cache, prompt);
        Assert.Equal(length - 1, Serve(cache, prompt).Position);
    }

    [Fact]
    public void A_system_prompt_the_template_knows_is_reused_from_the_second_user_on()
    {
        PrefixCache cache = Ample();
        int[] system = Tokens(1, 100);
        Serve(cache, [.. system, .. Tokens(2, 30)], turns: [100]);
        Assert.Equal(100, Serve(cache, [.. system, .. Tokens(3, 30)], turns: [100]).Position);
    }

    [Fact]
    public void One_that_nobody_knows_is_reused_from_the_third_on()
    {
        PrefixCache cache = Ample();
        int[] head = Tokens(1, 100);
        Serve(cache, [.. head, .. Tokens(2, 30)]);
        PrefixLease second = Serve(cache, [.. head, .. Tokens(3, 30)]);
        Assert.Equal((0, 100, MissReason.NoState), (second.Position, second.KeyDepth, second.Miss));
        Assert.Equal(100, Serve(cache, [.. head, .. Tokens(4, 30)]).Position);
    }

    [Fact]
    public void The_end_of_an_answer_continues_without_computing_any_of_it()
    {
        PrefixCache cache = Ample();
        int[] prompt = Tokens(1, 100);
        int[] answer = Tokens(2, 50);
        Serve(cache, prompt, answer: answer);

        // The last token sampled was never computed.
        Assert.Equal(149, Serve(cache, [.. prompt, .. answer, .. Tokens(3, 20)]).Position);
    }

    [Fact]
    public void Salts_share_nothing_and_say_so()
    {
        PrefixCache cache = Ample();
        int[] prompt = Tokens(1, 100);
        Serve(cache, prompt, salt: "a");
        PrefixLease other = cache.Match("b", prompt);
        Assert.Equal((0, 0, MissReason.Salt), (other.Position, other.KeyDepth, other.Miss));
        cache.Release(other);
        Assert.Equal(MissReason.KeyMiss, cache.Match("a", Tokens(9, 100)).Miss);
    }

    [Fact]
    public void A_miss_says_whether_the_state_was_evicted()
    {
        PrefixCache cache = Ample();
        int[] prompt = Tokens(1, 100);
        Serve(cache, prompt);
        while (cache.Tree.TryEvict())
        {
        }

        PrefixLease lease = cache.Match("", prompt);
        Assert.Equal((0, 0, 100, MissReason.Evicted), (lease.Position, lease.KvDepth, lease.KeyDepth, lease.Miss));
        Assert.Equal(cache.Memory.Superblocks, cache.Memory.FreeSuperblocks);
    }

    [Fact]
    public void A_conversation_that_fills_the_memory_with_its_own_checkpoints_goes_on()
    {
        var cache = new PrefixCache(Small, 6400 * 40, new PrefixCacheOptions { Planner = new PlannerOptions { Spacing = 16 } });
        int[] text = Tokens(1, 1200);
        for (int length = 100; length <= 1200; length += 100)
        {
            PrefixLease lease = Serve(cache, text[..length]);
            Assert.True(lease.Position >= length - 102, $"at {length}: {lease.Position}");
            cache.CheckIntegrity();
        }
    }

    [Fact]
    public void A_preempted_sequence_resumes_where_it_was()
    {
        PrefixCache cache = Ample();
        int[] text = Tokens(1, 200);
        PrefixLease lease = cache.Match("", text);
        Assert.True(cache.TryAdmit(lease, 200, out SequenceMemory? sequence));
        cache.Advance(sequence!, 77);
        cache.Finish(sequence!, text);
        Assert.Equal(77, cache.Match("", text).Position);
    }

    [Fact]
    public void A_failed_sequence_leaves_nothing_and_a_lease_on_its_work_is_invalid()
    {
        PrefixCache cache = Ample();
        int[] text = Tokens(1, 200);
        Serve(cache, text[..50]);
        PrefixLease lease = cache.Match("", text);
        Assert.True(cache.TryAdmit(lease, 200, out SequenceMemory? sequence));
        Assert.True(cache.TryReserve(sequence!, new PlannedCheckpoint(120, CheckpointReason.Branch)) >= 0);
        cache.Advance(sequence!, 100);
        cache.Publish(sequence!, text);
        PrefixLease misled = cache.Match("", text);
        Assert.Equal(120, misled.Position);
        cache.Fail(sequence!, text);
        Assert.False(PrefixTree.IsValid(misled));
        Assert.False(cache.TryAdmit(misled, 200, out _));
        cache.Release(misled);
        Assert.Equal(50, cache.Match("", text).Position);
        cache.CheckIntegrity();
    }

    [Fact]
    public void A_tenant_over_its_share_cannot_flush_another()
    {
        var cache = new PrefixCache(Small, 6400 * 60);
        int[] mine = Tokens(1, 100);
        Serve(cache, mine, salt: "quiet");
        for (int i = 2; i < 200; i++)
            Serve(cache, Tokens(i, 100), salt: "greedy");
        Assert.Equal(99, Serve(cache, mine, salt: "quiet").Position);
    }

    [Fact]
    public void What_cannot_fit_is_refused_and_flushes_nothing()
    {
        var cache = new PrefixCache(Small, 6400 * 20);
        Serve(cache, Tokens(1, 100));
        int checkpoints = cache.Tree.Checkpoints;
        PrefixLease lease = cache.Match("", Tokens(2, 100_000));
        Assert.False(cache.TryAdmit(lease, 100_000, out _));
        cache.Release(lease);
        Assert.Equal(checkpoints, cache.Tree.Checkpoints);
    }

    [Fact]
    public void Switched_off_it_keeps_nothing()
    {
        var cache = new PrefixCache(Small, 6400 * 100, new PrefixCacheOptions { Enabled = false });
        int[] prompt = Tokens(1, 100);
        Serve(cache, prompt);
        PrefixLease lease = Serve(cache, prompt);
        Assert.Equal((0, MissReason.Disabled), (lease.Position, lease.Miss));
        Assert.Equal(cache.Memory.Superblocks, cache.Memory.FreeSuperblocks);
    }

    [Fact]
    public void Without_states_any_token_can_be_continued_from()
    {
        var cache = new PrefixCache(new MemoryGeometry(1, 1600, 0, 0, 6400), 6400 * 100);
        int[] prompt = Tokens(1, 1000);
        Serve(cache, prompt);
        Assert.Equal(999, Serve(cache, prompt).Position);
        Assert.Equal(333, Serve(cache, [.. prompt[..333], .. Tokens(2, 50)]).Position);
        cache.CheckIntegrity();
    }

    [Fact]
    public void Kinds_of_checkpoints_that_are_never_used_lose_their_worth()
    {
        var reuse = new ReuseStatistics();
        double before = reuse.LogChance(CheckpointReason.OutputEnd, 0);
        for (int i = 0; i < 50; i++)
        {
            reuse.Used(CheckpointReason.PromptEnd, 0);
            reuse.Evicted(CheckpointReason.OutputEnd, 0);
        }

        Assert.True(reuse.LogChance(CheckpointReason.OutputEnd, 0) < before - 3);
        Assert.True(reuse.LogChance(CheckpointReason.PromptEnd, 0) > -0.1);

        // Evictions that turn out to be mistakes are taken back.
        for (int i = 0; i < 50; i++)
            reuse.Missed(CheckpointReason.OutputEnd, 0);
        Assert.True(reuse.LogChance(CheckpointReason.OutputEnd, 0) > -0.1);
    }

    private static PrefixCache Ample(PlannerOptions? planner = null) => new(
        Small, 6400 * 2000, new PrefixCacheOptions { Planner = planner ?? new PlannerOptions(), Checks = new MemoryChecks { Ledger = true } });

    /// <summary>A request from match to finish, as the engine does it, in one chunk and one decode.</summary>
    private static PrefixLease Serve(PrefixCache cache, int[] prompt, string salt = "", int[]? turns = null, int[]? answer = null)
    {
        PrefixLease lease = cache.Match(salt, prompt);
        Assert.True(cache.TryAdmit(lease, prompt.Length, out SequenceMemory? sequence));
        var plan = new List<PlannedCheckpoint>();
        cache.Plan(sequence!, lease, new PromptLayout(prompt.Length) { TurnStarts = turns ?? [] }, plan);
        cache.Announce(salt, prompt);
        foreach (PlannedCheckpoint planned in plan)
            _ = cache.TryReserve(sequence!, planned);
        cache.Advance(sequence!, prompt.Length - lease.Position);
        cache.Publish(sequence!, prompt);
        int[] all = [.. prompt, .. answer ?? [1]];
        if (cache.TryGrow(sequence!, all.Length - 1))
            cache.Advance(sequence!, all.Length - 1 - prompt.Length);
        cache.Finish(sequence!, all);
        cache.Memory.Work.Clear();
        cache.CheckIntegrity();
        return lease;
    }

    private static int[] Tokens(int text, int count) => [.. Enumerable.Range(0, count).Select(x => (text * 100_000) + x)];
}
