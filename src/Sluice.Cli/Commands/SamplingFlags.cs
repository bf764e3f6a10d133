using System.CommandLine;
using System.Globalization;
using Sluice.Checkpoints;
using Sluice.Engine.Sampling;

namespace Sluice.Cli.Commands;

/// <summary>The sampling options of <c>chat</c> and <c>generate</c>: the model's own defaults, each of which a flag overrides.</summary>
internal sealed class SamplingFlags
{
    private readonly Option<float?> _temperature = Number("--temperature", "T", "0 is greedy.");
    private readonly Option<float?> _topP = Number("--top-p", "P", "Keep the likeliest tokens up to this probability.");
    private readonly Option<int?> _topK = new("--top-k") { HelpName = "K", Description = "Keep this many tokens; 0 keeps all." };
    private readonly Option<float?> _minP = Number("--min-p", "P", "Keep tokens at least this times as likely as the likeliest.");
    private readonly Option<float?> _repetition = Number("--repetition-penalty", "X", "Above 1 discourages tokens seen before.");
    private readonly Option<long?> _seed = new("--seed") { HelpName = "N", Description = "Same seed, same text." };

    public void AddTo(Command command)
    {
        foreach (Option option in new Option[] { _temperature, _topP, _topK, _minP, _repetition, _seed })
            command.Options.Add(option);
    }

    public SamplingOptions Read(ParseResult parsed, GenerationDefaults defaults)
    {
        SamplingOptions options = SamplingOptions.Suggested(defaults);
        return options with
        {
            Temperature = parsed.GetValue(_temperature) ?? options.Temperature,
            TopP = parsed.GetValue(_topP) ?? options.TopP,
            TopK = parsed.GetValue(_topK) ?? options.TopK,
            MinP = parsed.GetValue(_minP) ?? options.MinP,
            RepetitionPenalty = parsed.GetValue(_repetition) ?? options.RepetitionPenalty,
            Seed = parsed.GetValue(_seed) ?? options.Seed,
        };
    }

    // Numbers are written the same way whatever the user's locale.
    private static Option<float?> Number(string name, string help, string description) => new(name)
    {
        HelpName = help,
        Description = description,
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out float value))
                return value;
            result.AddError($"{name}: expected a number, found '{text}'");
            return null;
        },
    };
}
