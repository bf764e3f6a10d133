using System.Numerics;
using System.Numerics.Tensors;
using Sluice.Core;

namespace Sluice.Engine.Sampling;

/// <summary>
/// Chooses tokens from logits, one sequence at a time, in the order of steps that <see cref="SamplingOptions"/> gives. Every filter
/// keeps some number of the likeliest tokens, ties to the lower id, so nothing is ever sorted as a whole: a small top-k is a heap
/// pass, the others cut at a threshold that provably loses nothing and then select. Holds scratch for one vocabulary; used by one
/// thread; allocates only the log-probabilities it is asked for.
/// </summary>
public sealed partial class Sampler
{
    // Up to here the heap of TopSelection is quicker than quickselect.
    private const int LargestHeap = 256;

    private readonly SoftmaxWeights _weights;
    private readonly TopSelection _top = new(LargestHeap);
    private readonly double[] _topWeights = new double[LargestHeap];
    private readonly int[] _candidates;
    private readonly float[] _modelLogits;

    /// <summary>Creates a sampler for logits [<paramref name="vocabularySize"/>].</summary>
    public Sampler(int vocabularySize)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(vocabularySize);
        _weights = new SoftmaxWeights(vocabularySize);
        _candidates = new int[vocabularySize];
        _modelLogits = new float[vocabularySize];
    }

    /// <summary>Logits there must be.</summary>
    public int VocabularySize => _candidates.Length;

    /// <summary>
    /// Chooses the next token of a sequence. <paramref name="logits"/>, [vocabulary], are used as scratch and hold nothing useful
    /// after. The caller makes the choice part of the sequence with <see cref="SequenceSampling.Accept"/>.
    /// </summary>
    /// <param name="logits">What the model says, [vocabulary].</param>
    /// <param name="sequence">The sequence's options and memory.</param>
    /// <param name="allowed">
    /// A bit for each token, word by word from the lowest: tokens whose bit is not set, or that have none, are out before everything else.
    /// Empty allows all. Log-probabilities stay those of the model alone.
    /// </param>
    /// <exception cref="EngineException">The logits hold NaN or positive infinity, or nothing finite that is allowed.</exception>
    public SampledToken Sample(Span<float> logits, SequenceSampling sequence, ReadOnlySpan<ulong> allowed = default)
    {
        if (logits.Length != VocabularySize)
            throw new ArgumentException($"expected {VocabularySize} logits, found {logits.Length}", nameof(logits));
        SamplingOptions options = sequence.Options;
        float max = LargestFinite(logits);
        if (!options.WantsLogprobs)
        {
            if (Restrict(logits, sequence, allowed))
                max = LargestFinite(logits);
            return new SampledToken(Choose(logits, max, sequence), float.NaN, null);
        }

        _weights.Compute(logits, max, temperature: 1);
        double logTotal = max + Math.Log(_weights.Total);
        TokenLogprob[] top = Likeliest(logits, options.TopLogprobs.GetValueOrDefault(), logTotal);
        logits.CopyTo(_modelLogits);
        if (Restrict(logits, sequence, allowed))
            max = LargestFinite(logits);
        int token = Choose(logits, max, sequence);
        return new SampledToken(token, (float)(_modelLogits[token] - logTotal), top);
    }

    /// <summary>Applies the mask, then bias and penalties; false when there are none.</summary>
    private static bool Restrict(Span<float> logits, SequenceSampling sequence, ReadOnlySpan<ulong> allowed)
    {
        if (!allowed.IsEmpty)
            TokenMask.Apply(logits, allowed);
        return sequence.Adjust(logits) || !allowed.IsEmpty;
    }

    private static float LargestFinite(ReadOnlySpan<float> logits)
    {
        float max = TensorPrimitives.Max(logits); // NaN if there is one
        return float.IsFinite(max)
            ? max
            : throw new EngineException(EngineFailure.InvalidLogits, $"the model's logits are not usable: their maximum is {max}");
    }

    private TokenLogprob[] Likeliest(ReadOnlySpan<float> logits, int count, double logTotal)
    {
        if (count == 0)
            return [];
        _top.Select(logits, count);
        var likeliest = new TokenLogprob[_top.Ids.Length];
        for (int i = 0; i < likeliest.Length; i++)
            likeliest[i] = new TokenLogprob(_top.Ids[i], (float)(_top.Logits[i] - logTotal));
        return likeliest;
    }

    private int Choose(ReadOnlySpan<float> logits, float max, SequenceSampling sequence)
    {
        SamplingOptions options = sequence.Options;
        if (options.Temperature == 0 || options.TopK == 1)
            return FirstIndexOf(logits, max);
        double uniform = sequence.NextUniform();
        int topK = options.TopK >= logits.Length ? 0 : options.TopK;
        if (topK is > 0 and <= LargestHeap)
            return DrawFromHeap(SelectIntoHeap(logits, max, topK, options), options, uniform);

        _weights.Compute(logits, max, options.Temperature);
        if (topK == 0 && options.TopP == 1 && options.MinP == 0)
            return _weights.Draw(uniform * _weights.Total);

        // A model that knows what it wants to say has its nucleus in a handful of tokens.
        if (topK == 0 && options.TopP < 1 && SelectIntoHeap(logits, max, LargestHeap, options) >= options.TopP * _weights.Total)
            return DrawFromHeap(_weights.Total, options, uniform);
        return DrawFromCandidates(logits, topK, options, uniform);
    }

    /// <summary>Selects the <paramref name="count"/> likeliest, sorted, and their weights; returns the weights' sum.</summary>
    private double SelectIntoHeap(ReadOnlySpan<float> logits, float max, int count, SamplingOptions options)
    {
        _top.Select(logits, count);
        return WeighSorted(_top.Logits, max, options.Temperature);
    }

    private double WeighSorted(ReadOnlySpan<float> sorted, float max, float temperature)
    {
        double sum = 0;
        for (int i = 0; i < sorted.Length; i++)
            sum += _topWeights[i] = Math.Exp((sorted[i] - max) / temperature);
        return sum;
    }

    private int DrawFromHeap(double total, SamplingOptions options, double uniform) =>
        _top.Ids[DrawFromSorted(_top.Ids.Length, total, options, uniform)];

    /// <summary>
    /// Draws one of the first <paramref name="candidates"/> of what is weighed and sorted: top-p (of <paramref name="total"/>) and min-p only shorten
    /// the list.
    /// </summary>
    private int DrawFromSorted(int candidates, double total, SamplingOptions options, double uniform)
    {
        ReadOnlySpan<double> weights = _topWeights.AsSpan(0, candidates);
        double kept = 0, mass = options.TopP == 1 ? double.PositiveInfinity : options.TopP * total;
        int count = 0;
        while (count < weights.Length && kept < mass && weights[count] >= options.MinP)
            kept += weights[count++];

        double target = uniform * kept;
        int drawn = 0;
        for (int i = 0; i < count && weights[i] > 0; i++)
        {
            drawn = i;
            target -= weights[i];
            if (target < 0)
                break;
        }

        return drawn;
    }

    /// <summary>A large top-k, top-p or min-p: gather what may stay, then select.</summary>
    private int DrawFromCandidates(ReadOnlySpan<float> logits, int topK, SamplingOptions options, double uniform)
    {
        ReadOnlySpan<float> weights = _weights.Values;
        Span<int> kept = _candidates;
        double total = _weights.Total;
        if (topK > 0)
        {
            for (int id = 0; id < kept.Length; id++)
                kept[id] = id;
            LikeliestFirst.ByCount(kept, logits, topK);
            kept = kept[..topK];
            total = Sum(kept, weights);
        }
        else
        {
            // All tokens lighter than (1 - p) / V together weigh at most 1 - p, and the heaviest weighs 1: they lie beyond the nucleus.
            float least = Math.Max(options.MinP, (1 - options.TopP) / weights.Length);
            kept = kept[..Gather(weights, least, kept)];
        }

        if (options.TopP < 1)
            kept = kept[..LikeliestFirst.ByMass(kept, logits, weights, options.TopP * total)];

        double mass = 0;
        int count = 0;
        foreach (int id in kept)
        {
            if (weights[id] >= options.MinP && weights[id] > 0)
            {
                kept[count++] = id;
                mass += weights[id];
            }
        }

        double target = uniform * mass;
        int drawn = 0;
        for (int i = 0; i < count; i++)
        {
            drawn = i;
            target -= weights[kept[i]];
            if (target < 0)
                break;
        }

        return kept[drawn];
    }

    private static double Sum(ReadOnlySpan<int> ids, ReadOnlySpan<float> weights)
    {
        double sum = 0;
        foreach (int id in ids)
            sum += weights[id];
        return sum;
    }

    /// <summary>Writes the ids whose weight is at least <paramref name="least"/>, ascending; returns how many they are.</summary>
    private static int Gather(ReadOnlySpan<float> weights, float least, Span<int> ids)
    {
        int count = 0, id = 0, width = Vector<float>.Count;
        var bar = new Vector<float>(least);
        for (; id <= weights.Length - width; id += width)
        {
            if (!Vector.GreaterThanOrEqualAny(new Vector<float>(weights.Slice(id, width)), bar))
                continue;
            for (int lane = id; lane < id + width; lane++)
            {
                if (weights[lane] >= least)
                    ids[count++] = lane;
            }
        }

        for (; id < weights.Length; id++)
        {
            if (weights[id] >= least)
                ids[count++] = id;
        }

        return count;
    }

    private static int FirstIndexOf(ReadOnlySpan<float> logits, float value)
    {
        int id = 0, width = Vector<float>.Count;
        var wanted = new Vector<float>(value);
        while (id <= logits.Length - width && !Vector.EqualsAny(new Vector<float>(logits.Slice(id, width)), wanted))
            id += width;
        while (logits[id] != value)
            id++;
        return id;
    }
}
