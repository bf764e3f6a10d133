using Sluice.Backends;

namespace Sluice.Models.Verification;

/// <summary>
/// Runs a sequence through a model and compares with what another implementation computed for it, layer by layer where the
/// hidden states are known.
/// </summary>
public sealed class Verifier
{
    private readonly LanguageModel _model;
    private readonly ExpectedOutputs _expected;
    private readonly ComparisonBuilder _logits = new("logits");
    private readonly ComparisonBuilder _lastLogits = new("last_logits");
    private readonly ComparisonBuilder _nll = new("nll");
    private readonly ComparisonBuilder[] _hidden;
    private readonly float[] _logitRow;
    private readonly float[] _hiddenRow;
    private readonly List<double> _argmaxGaps = [];

    private Verifier(LanguageModel model, ExpectedOutputs expected)
    {
        _model = model;
        _expected = expected;
        _logitRow = new float[model.Config.VocabularySize];
        _hiddenRow = new float[model.Config.HiddenSize];
        int layers = model.Config.LayerCount;
        _hidden = new ComparisonBuilder[layers + 1];
        for (int state = 0; state <= layers; state++)
        {
            _hidden[state] = new ComparisonBuilder(
                state == 0 ? "embedding" : state == layers ? $"layer {layers - 1} and final norm" : $"layer {state - 1}");
        }
    }

    /// <summary>Runs and compares.</summary>
    /// <param name="model">A model with at least <see cref="ExpectedOutputs.Options"/>; its slot 0 and first pages are overwritten.</param>
    /// <param name="expected">The sequence and what to compare.</param>
    /// <param name="chunk">Tokens a step, as far as the model allows; 0 for as many as it allows.</param>
    /// <param name="progress">Told the tokens done after each step.</param>
    /// <param name="cancellation">Gives up between steps.</param>
    public static VerificationReport Run(
        LanguageModel model, ExpectedOutputs expected, int chunk = 0, IProgress<int>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(expected);
        ArgumentOutOfRangeException.ThrowIfNegative(chunk);
        return new Verifier(model, expected).Run(chunk, progress, cancellation);
    }

    private VerificationReport Run(int chunk, IProgress<int>? progress, CancellationToken cancellation)
    {
        int step = Math.Min(_model.MaxStepTokens, _model.MaxLogitRows);
        if (chunk > 0)
            step = Math.Min(step, chunk);
        int[] ids = _expected.InputIds;
        int[] pages = [.. Enumerable.Range(0, (ids.Length + KvCache.PageTokens - 1) / KvCache.PageTokens)];
        StepBatch batch = new(step);
        ModelObserver? before = _model.Observer;
        _model.Observer = _expected.Hidden is null ? before : CompareHidden;
        try
        {
            for (int first = 0; first < ids.Length; first += step)
            {
                cancellation.ThrowIfCancellationRequested();
                int count = Math.Min(step, ids.Length - first);
                batch.Clear();
                batch.Add(ids.AsSpan(first, count), first, stateSlot: 0, pages, LogitsWanted.All);
                _model.Forward(batch);
                for (int i = 0; i < count; i++)
                {
                    _model.ReadLogits(i, _logitRow);
                    CompareLogits(first + i, _logitRow);
                }

                progress?.Report(first + count);
            }
        }
        finally
        {
            _model.Observer = before;
        }

        return Report();
    }

    private VerificationReport Report() => new()
    {
        Tokens = _expected.InputIds.Length,
        Logits = _expected.Logits is null ? null : _logits.Build(),
        LastLogits = _expected.LastLogits is null ? null : _lastLogits.Build(),
        NegativeLogLikelihood = _expected.NegativeLogLikelihood is null ? null : _nll.Build(),
        ArgmaxAgreement = _expected.Argmax is null && _expected.Logits is null ? null : 1 - ((double)_argmaxGaps.Count / _expected.InputIds.Length),
        ArgmaxGaps = _argmaxGaps,
        Hidden = _expected.Hidden is null ? [] : [.. _hidden.Select(state => state.Build())],
    };

    private void CompareLogits(int position, ReadOnlySpan<float> found)
    {
        ReadOnlySpan<float> expected = _expected.Logits is null ? default : _expected.Logits.AsSpan(position * found.Length, found.Length);
        _logits.Add(expected, found[..expected.Length]);
        int last = _expected.InputIds.Length - 1;
        if (_expected.LastLogits is not null && position == last)
            _lastLogits.Add(_expected.LastLogits, found);
        if (_expected.NegativeLogLikelihood is not null && position < last)
            _nll.Add(_expected.NegativeLogLikelihood[position], NegativeLogLikelihood(found, _expected.InputIds[position + 1]));

        int? best = _expected.Argmax is not null ? _expected.Argmax[position] : expected.IsEmpty ? null : Argmax(expected);
        int likeliest = Argmax(found);
        if (best is { } token && token != likeliest)
            _argmaxGaps.Add(expected.IsEmpty ? double.PositiveInfinity : expected[token] - expected[likeliest]);
    }

    private void CompareHidden(ModelPoint point, int layer, StepBatch batch, Activation hidden)
    {
        // The last layer's output is known after the final norm only.
        int layers = _model.Config.LayerCount;
        if (point == ModelPoint.Layer && layer == layers - 1)
            return;
        int state = point switch
        {
            ModelPoint.Embedding => 0,
            ModelPoint.Layer => layer + 1,
            _ => layers,
        };
        int skipped = _expected.InputIds.Length - _expected.HiddenTokens;
        for (int row = 0; row < batch.TokenCount; row++)
        {
            int token = batch.Positions[row] - skipped;
            if (token < 0)
                continue;
            _model.Backend.Read(hidden, row, _hiddenRow);
            _hidden[state].Add(
                _expected.Hidden.AsSpan(((state * _expected.HiddenTokens) + token) * _hiddenRow.Length, _hiddenRow.Length), _hiddenRow);
        }
    }

    /// <summary><c>-log softmax(logits)[token]</c>, in nats.</summary>
    private static double NegativeLogLikelihood(ReadOnlySpan<float> logits, int token)
    {
        double largest = logits[Argmax(logits)];
        double sum = 0;
        foreach (float logit in logits)
            sum += Math.Exp(logit - largest);
        return largest + Math.Log(sum) - logits[token];
    }

    private static int Argmax(ReadOnlySpan<float> logits)
    {
        int best = 0;
        for (int i = 1; i < logits.Length; i++)
        {
            if (logits[i] > logits[best])
                best = i;
        }

        return best;
    }
}
