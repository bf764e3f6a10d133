namespace Sluice.Models.Tests;

public sealed class StepSizeTests
{
    [Theory]
    [InlineData(512, 10, 2048)] // Qwen3-Next: 40 rows an expert
    [InlineData(256, 8, 1024)]
    [InlineData(128, 8, 512)]
    [InlineData(8, 2, 512)]
    [InlineData(100_000, 1, 2048)]
    public void A_step_of_prompts_alone_has_rows_enough_for_each_expert(int experts, int topK, int expected)
    {
        Core.ModelConfig config = ModelFootprintTests.Next80B;
        Assert.Equal(expected, StepSize.Alone(config with { Moe = config.Moe! with { Experts = experts, TopK = topK } }));
    }

    [Fact]
    public void Without_experts_there_is_nothing_to_gain() =>
        Assert.Equal(StepSize.Shared, StepSize.Alone(ModelFootprintTests.Next80B with { Moe = null }));
}
