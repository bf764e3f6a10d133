using Sluice.Caching.Planning;
using Sluice.Caching.Tree;

namespace Sluice.Caching.Tests;

public sealed class PlannerTests
{
    private const int Many = 1000;

    [Fact]
    public void A_chat_is_exported_where_others_and_its_next_turn_will_join()
    {
        int[] turns = [300, 340, 400, 450];
        var prompt = new PromptLayout(460) { TurnStarts = turns, LastUserTurn = 400, GenerationPrefix = 450 };
        Assert.Equal(
            [(300, CheckpointReason.SystemEnd), (400, CheckpointReason.LastUserTurn), (450, CheckpointReason.PromptEnd)],
            Plan(prompt, 0, 0, Many));
    }

    [Fact]
    public void After_a_tool_result_the_end_of_the_users_turn_is_kept_too()
    {
        int[] turns = [300, 400, 700, 800];
        var prompt = new PromptLayout(900) { TurnStarts = turns, LastUserTurn = 300, GenerationPrefix = 890 };
        Assert.Equal(
            [(300, CheckpointReason.SystemEnd), (400, CheckpointReason.LastUserTurnEnd), (890, CheckpointReason.PromptEnd)],
            Plan(prompt, 0, 0, Many));
    }

    [Fact]
    public void Without_a_template_the_last_token_is_left_to_compute() =>
        Assert.Equal([(99, CheckpointReason.PromptEnd)], Plan(new PromptLayout(100), 0, 0, Many));

    [Fact]
    public void Where_the_prompt_leaves_what_is_known_it_branches() =>
        Assert.Equal([(60, CheckpointReason.Branch), (99, CheckpointReason.PromptEnd)], Plan(new PromptLayout(100), 20, 60, Many));

    [Fact]
    public void Nothing_is_planned_for_a_few_tokens()
    {
        Assert.Empty(Plan(new PromptLayout(100), 95, 95, Many));
        Assert.Empty(Plan(new PromptLayout(1), 0, 0, Many));
        Assert.Equal([(60, CheckpointReason.Branch), (99, CheckpointReason.PromptEnd)], Plan(new PromptLayout(100) { Breakpoints = [63] }, 0, 60, Many));
    }

    [Fact]
    public void A_long_prompt_is_cut_at_multiples_of_the_spacing_while_memory_is_free()
    {
        List<(int Position, CheckpointReason Reason)> plan = Plan(new PromptLayout(2000), 0, 0, Many);
        Assert.Equal([512, 1024, 1536, 1999], plan.Select(x => x.Position));
        Assert.Equal([1999], Plan(new PromptLayout(2000), 0, 0, 1).Select(x => x.Position));

        // Two slots besides the one for the end: the spacing doubles rather than leave half the prompt without.
        Assert.Equal([1024, 1999], Plan(new PromptLayout(2000), 0, 0, 3).Select(x => x.Position));
    }

    [Fact]
    public void Cuts_prefer_the_start_of_a_turn()
    {
        int[] turns = [100, 480, 800, 1500];
        List<(int Position, CheckpointReason Reason)> plan = Plan(new PromptLayout(2000) { TurnStarts = turns }, 0, 0, Many);
        Assert.Equal([100, 480, 800, 1024, 1500, 1999], plan.Select(x => x.Position));
        Assert.Equal(CheckpointReason.Turn, plan[2].Reason);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    [InlineData(1000)]
    public void With_ample_memory_no_stretch_is_longer_than_the_spacing(int from)
    {
        var rng = new Fuzz.Rng(7);
        for (int trial = 0; trial < 500; trial++)
        {
            int length = from + rng.In(1, 9000);
            int[] turns = [.. Enumerable.Range(0, rng.Below(30)).Select(_ => rng.Below(length)).Order()];
            List<(int Position, CheckpointReason Reason)> plan = Plan(
                new PromptLayout(length) { TurnStarts = turns, LastUserTurn = rng.Below(length) }, from, rng.Below(length), Many);
            int previous = from;
            foreach ((int position, _) in plan)
            {
                Assert.InRange(position - previous, 8, 512);
                previous = position;
            }

            Assert.InRange(length - 1 - previous, 0, 512);
        }
    }

    [Fact]
    public void With_few_slots_the_most_important_stay()
    {
        int[] turns = [300, 400];
        var plan = new List<PlannedCheckpoint>();
        new CheckpointPlanner().Plan(
            new PromptLayout(500) { TurnStarts = turns, LastUserTurn = 400, GenerationPrefix = 490, Breakpoints = [200] }, 0, 0, 0, 2, plan);
        Assert.Equal([300, 490], plan.Select(x => x.Position));
        new CheckpointPlanner().Plan(new PromptLayout(500), 0, 0, 0, 0, plan);
        Assert.Empty(plan);
    }

    private static List<(int Position, CheckpointReason Reason)> Plan(in PromptLayout prompt, int from, int keyDepth, int slots)
    {
        var plan = new List<PlannedCheckpoint>();
        new CheckpointPlanner().Plan(prompt, from, keyDepth, slots, slots, plan);
        return [.. plan.Select(x => (x.Position, x.Reason))];
    }
}
