using Sluice.Core;
using Sluice.Engine.Sampling;

namespace Sluice.Engine.Tests.Sampling;

public sealed class SamplingOptionsTests
{
    public static TheoryData<string, Func<SamplingOptions>> Refused => new()
    {
        { "temperature", () => new SamplingOptions { Temperature = -0.1f } },
        { "temperature", () => new SamplingOptions { Temperature = float.NaN } },
        { "temperature", () => new SamplingOptions { Temperature = float.PositiveInfinity } },
        { "top_k", () => new SamplingOptions { TopK = -1 } },
        { "top_p", () => new SamplingOptions { TopP = 0 } },
        { "top_p", () => new SamplingOptions { TopP = 1.01f } },
        { "top_p", () => new SamplingOptions { TopP = float.NaN } },
        { "min_p", () => new SamplingOptions { MinP = 2 } },
        { "presence_penalty", () => new SamplingOptions { PresencePenalty = 2.5f } },
        { "frequency_penalty", () => new SamplingOptions { FrequencyPenalty = -3 } },
        { "repetition_penalty", () => new SamplingOptions { RepetitionPenalty = 0 } },
        { "logit_bias", () => new SamplingOptions { LogitBias = [new(1, 101)] } },
        { "logit_bias", () => new SamplingOptions { LogitBias = [new(-1, 1)] } },
        { "logit_bias", () => new SamplingOptions { LogitBias = new LogitBias[1025] } },
        { "top_logprobs", () => new SamplingOptions { TopLogprobs = 21 } },
        { "temperature", () => SamplingOptions.Greedy with { Temperature = -1 } },
    };

    [Theory]
    [MemberData(nameof(Refused), DisableDiscoveryEnumeration = true)]
    public void Values_out_of_range_are_refused_by_name(string parameter, Func<SamplingOptions> create)
    {
        var error = Assert.Throws<RequestException>(create);
        Assert.Equal(parameter, error.Parameter);
        Assert.Contains(parameter, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }
}
