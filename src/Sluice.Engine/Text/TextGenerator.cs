using Sluice.Core;
using Sluice.Text;

namespace Sluice.Engine.Text;

/// <summary>Generates text with an engine and a tokenizer. Safe to use from any thread.</summary>
public sealed class TextGenerator
{
    private readonly int[] _endOfText;

    /// <summary>Creates a generator.</summary>
    /// <param name="engine">What runs the model.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="endOfText">Token ids that end every text, from generation_config.json or else config.json.</param>
    public TextGenerator(InferenceEngine engine, Tokenizer tokenizer, IReadOnlyList<int> endOfText)
    {
        Engine = engine;
        Tokenizer = tokenizer;
        _endOfText = [.. endOfText];
    }

    /// <summary>What runs the model.</summary>
    public InferenceEngine Engine { get; }

    /// <summary>The model's tokenizer.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>Queues a request; its text comes through the stream.</summary>
    /// <exception cref="RequestException">The request is invalid or can never fit.</exception>
    /// <exception cref="EngineException">The queue is full, or the engine takes no more requests.</exception>
    public TextStream Generate(TextRequest request, CancellationToken cancellation = default)
    {
        var stops = new StopStrings(request.Stop);
        int[] stopTokens = request.IgnoreEndOfText ? [.. request.StopTokens] : [.. _endOfText, .. request.StopTokens];
        GenerationStream tokens = Engine.Submit(
            new GenerationRequest
            {
                Prompt = request.Prompt,
                MaxTokens = request.MaxTokens,
                Sampling = request.Sampling,
                StopTokens = stopTokens,
                Structure = request.Structure,
                CacheSalt = request.CacheSalt,
                Client = request.Client,
                Priority = request.Priority,
            },
            cancellation);
        return new TextStream(tokens, Tokenizer, stops, stopTokens, request.Sampling.WantsLogprobs);
    }
}
