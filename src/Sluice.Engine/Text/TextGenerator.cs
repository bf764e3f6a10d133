using Sluice.Constraints;
using Sluice.Core;
using Sluice.Text;

namespace Sluice.Engine.Text;

/// <summary>Generates text with an engine and a tokenizer. Safe to use from any thread.</summary>
public sealed class TextGenerator
{
    private readonly int[] _endOfText;

    // Made when first asked for: it reads the whole vocabulary.
    private readonly Lazy<ConstraintCompiler> _constraints;

    /// <summary>Creates a generator.</summary>
    /// <param name="engine">What runs the model.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="endOfText">Token ids that end every text, from generation_config.json or else config.json.</param>
    public TextGenerator(InferenceEngine engine, Tokenizer tokenizer, IReadOnlyList<int> endOfText)
    {
        Engine = engine;
        Tokenizer = tokenizer;
        _endOfText = [.. endOfText];
        _constraints = new Lazy<ConstraintCompiler>(() => new ConstraintCompiler(TokenVocabulary.Of(Tokenizer, _endOfText)));
    }

    /// <summary>What runs the model.</summary>
    public InferenceEngine Engine { get; }

    /// <summary>The model's tokenizer.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>Token ids that end every text.</summary>
    public IReadOnlyList<int> EndOfText => _endOfText;

    /// <summary>Compiles what texts must look like, and remembers it.</summary>
    public ConstraintCompiler Constraints => _constraints.Value;

    /// <summary>Queues a request; its text comes through the stream.</summary>
    /// <exception cref="RequestException">The request is invalid or can never fit.</exception>
    /// <exception cref="EngineException">The queue is full, or the engine takes no more requests.</exception>
    public TextStream Generate(TextRequest request, CancellationToken cancellation = default) => GenerateMany(request, 1, cancellation)[0];

    /// <summary>
    /// Queues <paramref name="count"/> independent answers to one request, whose prompt is computed once. The first is what
    /// <see cref="Generate"/> gives; each other draws from a seed made of the request's and its place, so a seed gives the same
    /// answers again.
    /// </summary>
    /// <exception cref="RequestException">The request is invalid or can never fit.</exception>
    /// <exception cref="EngineException">The queue has no room for all of them, or the engine takes no more requests.</exception>
    public IReadOnlyList<TextStream> GenerateMany(TextRequest request, int count, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        int[] stopTokens = request.IgnoreEndOfText ? [.. request.StopTokens] : [.. _endOfText, .. request.StopTokens];
        IReadOnlyList<GenerationStream> streams = Engine.Submit(
            new GenerationRequest
            {
                Prompt = request.Prompt,
                MaxTokens = request.MaxTokens,
                Sampling = request.Sampling,
                StopTokens = stopTokens,
                Constraint = request.Constraint,
                Structure = request.Structure,
                CacheSalt = request.CacheSalt,
                Client = request.Client,
                Priority = request.Priority,
            },
            count,
            cancellation);
        return [.. streams.Select(tokens => new TextStream(tokens, Tokenizer, new StopStrings(request.Stop), stopTokens, request.Sampling.WantsLogprobs))];
    }
}
