using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Checkpoints.Safetensors;
using Sluice.Core;

namespace Sluice.Models.Verification;

/// <summary>
/// What another implementation computed for one sequence: <c>input_ids</c> [tokens] and any of <c>logits</c> [tokens, vocabulary],
/// <c>last_logits</c> [vocabulary], <c>nll</c> [tokens - 1], <c>argmax</c> [tokens], <c>hidden</c> [layers + 1, tokens, hidden] and
/// <c>hidden_lastN</c>, the same for the last N tokens. Hidden states are as transformers gives them: the embedding, then each
/// layer's output, the last one after the final norm.
/// </summary>
public sealed record ExpectedOutputs
{
    private const string LastHiddenPrefix = "hidden_last";

    /// <summary>The sequence.</summary>
    public required int[] InputIds { get; init; }

    /// <summary>Logits at every position.</summary>
    public float[]? Logits { get; init; }

    /// <summary>Logits at the last position.</summary>
    public float[]? LastLogits { get; init; }

    /// <summary>Negative log-likelihood of each token but the first, in nats.</summary>
    public float[]? NegativeLogLikelihood { get; init; }

    /// <summary>Most likely next token at every position.</summary>
    public int[]? Argmax { get; init; }

    /// <summary>Hidden states, [layers + 1, <see cref="HiddenTokens"/>, hidden].</summary>
    public float[]? Hidden { get; init; }

    /// <summary>How many tokens, the last ones, <see cref="Hidden"/> covers.</summary>
    public int HiddenTokens { get; init; }

    /// <summary>Reads a file and compares its shapes with the model's.</summary>
    /// <exception cref="CheckpointException">It is malformed, fits another model, or has nothing to compare.</exception>
    public static ExpectedOutputs Read(string path, ModelConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        using SafetensorsFile file = SafetensorsFile.Open(path);
        string name = Path.GetFileName(path);
        if (!file.Tensors.TryGetValue("input_ids", out TensorInfo? ids) || ids.Shape.Count != 1 || ids.Shape[0] == 0)
            throw new CheckpointException($"{name}: expected input_ids of one dimension, found {(ids is null ? "none" : Shape(ids.Shape))}");
        int tokens = ids.Shape[0];
        string hidden = file.Tensors.ContainsKey("hidden")
            ? "hidden"
            : file.Tensors.Keys.FirstOrDefault(key => key.StartsWith(LastHiddenPrefix, StringComparison.Ordinal)) ?? "hidden";
        int hiddenTokens = file.Tensors.TryGetValue(hidden, out TensorInfo? states) && states.Shape.Count == 3 ? Math.Min(states.Shape[1], tokens) : tokens;

        ExpectedOutputs expected = new()
        {
            InputIds = file.Integers("input_ids"),
            Logits = Floats("logits", tokens, config.VocabularySize),
            LastLogits = Floats("last_logits", config.VocabularySize),
            NegativeLogLikelihood = Floats("nll", tokens - 1),
            Argmax = Has("argmax", tokens) ? file.Integers("argmax") : null,
            Hidden = Floats(hidden, config.LayerCount + 1, hiddenTokens, config.HiddenSize),
            HiddenTokens = hiddenTokens,
        };
        if (expected is { Logits: null, LastLogits: null, NegativeLogLikelihood: null, Argmax: null, Hidden: null })
            throw new CheckpointException($"{name}: expected logits, last_logits, nll, argmax or hidden; found {string.Join(", ", file.Tensors.Keys)}");
        return expected;

        float[]? Floats(string key, params ReadOnlySpan<int> shape) => Has(key, shape) ? file.Floats(key) : null;

        bool Has(string key, params ReadOnlySpan<int> shape)
        {
            if (!file.Tensors.TryGetValue(key, out TensorInfo? tensor))
                return false;
            if (!shape.SequenceEqual(tensor.Shape.ToArray()))
                throw new CheckpointException($"{name}: {key}: expected {Shape(shape.ToArray())}, found {Shape(tensor.Shape)}");
            return true;
        }

        static string Shape(IReadOnlyList<int> shape) => $"[{string.Join(", ", shape)}]";
    }

    /// <summary>
    /// The same for the first <paramref name="tokens"/> of the sequence: what is expected at its end, and hidden states, which
    /// may be of its end, are left out.
    /// </summary>
    public ExpectedOutputs Prefix(int tokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(tokens, InputIds.Length);
        return this with
        {
            InputIds = InputIds[..tokens],
            Logits = Logits?[..(Logits.Length / InputIds.Length * tokens)],
            LastLogits = null,
            NegativeLogLikelihood = NegativeLogLikelihood?[..(tokens - 1)],
            Argmax = Argmax?[..tokens],
            Hidden = null,
            HiddenTokens = 0,
        };
    }

    /// <summary>The smallest model that can run the sequence in steps of <paramref name="chunk"/> tokens.</summary>
    public ModelOptions Options(int chunk)
    {
        int step = Math.Clamp(chunk, 1, InputIds.Length);
        return new ModelOptions
        {
            MaxStepTokens = step,
            MaxLogitRows = step,
            Pages = (InputIds.Length + KvCache.PageTokens - 1) / KvCache.PageTokens,
            Slots = 1,
        };
    }
}
