using Sluice.Core;
using Sluice.Engine.Sampling;
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

    /// <summary>Whether the engine holds a text to <see cref="TextRequest.Constraint"/>; if not, requests that have one are refused.</summary>
    public static bool SupportsConstraints => false;

    /// <summary>What runs the model.</summary>
    public InferenceEngine Engine { get; }

    /// <summary>The model's tokenizer.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>Token ids that end every text.</summary>
    public IReadOnlyList<int> EndOfText => _endOfText;

    /// <summary>
    /// Queues <paramref name="count"/> independent answers to one request. The first is what <see cref="Generate"/> gives; each other
    /// draws from a seed made of the request's and its place, so a seed gives the same answers again.
    /// </summary>
    /// <exception cref="RequestException">The request is invalid or can never fit.</exception>
    /// <exception cref="EngineException">The queue has no room for all of them, or the engine takes no more requests.</exception>
    public IReadOnlyList<TextStream> GenerateMany(TextRequest request, int count, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        var streams = new List<TextStream>(Math.Min(count, 128));
        try
        {
            for (int index = 0; index < count; index++)
            {
                SamplingOptions sampling = request.Sampling with { Seed = SeedOf(request.Sampling.Seed, index) };
                streams.Add(Generate(request with { Sampling = sampling }, cancellation));
            }

            return streams;
        }
        catch
        {
            foreach (TextStream stream in streams)
                stream.Cancel();
            throw;
        }
    }

    /// <summary>Queues a request; its text comes through the stream.</summary>
    /// <exception cref="RequestException">The request is invalid or can never fit.</exception>
    /// <exception cref="EngineException">The queue is full, or the engine takes no more requests.</exception>
    public TextStream Generate(TextRequest request, CancellationToken cancellation = default)
    {
        // Refused, rather than left out: who asks for JSON must not get text that may not be.
        if (request.Constraint is not null && !SupportsConstraints)
            throw new RequestException("constrained output is not supported", null, "unsupported_value");
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

    // SplitMix64 over seed and index, so that seeds that are neighbours share no answers.
    private static long? SeedOf(long? seed, int index)
    {
        if (seed is not { } given || index == 0)
            return seed;
        ulong z = (ulong)given + ((ulong)index * 0x9E3779B97F4A7C15);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return (long)(z ^ (z >> 31));
    }
}
