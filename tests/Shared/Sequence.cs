using Sluice.Backends;
using Sluice.Models;

namespace Sluice.Testing;

/// <summary>One sequence of a model: its pages, its state slot and how far it has come.</summary>
public sealed class Sequence
{
    private readonly LanguageModel _model;
    private readonly int[] _pages;

    /// <summary>A sequence in <paramref name="slot"/> with pages <paramref name="firstPage"/>, <paramref name="firstPage"/> + stride, ...</summary>
    public Sequence(LanguageModel model, int slot = 0, int firstPage = 0, int pageCount = 0, int stride = 1)
    {
        _model = model;
        Slot = slot;
        _pages = [.. Enumerable.Range(0, pageCount == 0 ? model.Caches.Pages : pageCount).Select(i => firstPage + (i * stride))];
    }

    public int Slot { get; }

    public int Length { get; private set; }

    /// <summary>Adds the sequence's next tokens to a step.</summary>
    public void AddTo(StepBatch batch, ReadOnlySpan<int> tokens, LogitsWanted logits, params ReadOnlySpan<StateExport> exports)
    {
        batch.Add(tokens, Length, Slot, _pages, logits, exports);
        Length += tokens.Length;
    }

    /// <summary>A sequence that continues from another's state: the same pages, a copy of its state in <paramref name="slot"/>.</summary>
    public Sequence ContinueAt(int slot, int length) => new(_model, slot, _pages[0], _pages.Length, _pages.Length > 1 ? _pages[1] - _pages[0] : 1) { Length = length };

    /// <summary>Runs tokens in steps of <paramref name="chunk"/>; returns the logits of each.</summary>
    public float[][] Run(ReadOnlySpan<int> tokens, int chunk)
    {
        float[][] logits = new float[tokens.Length][];
        StepBatch batch = new(_model.MaxStepTokens);
        for (int first = 0; first < tokens.Length; first += chunk)
        {
            int count = Math.Min(chunk, tokens.Length - first);
            batch.Clear();
            AddTo(batch, tokens.Slice(first, count), LogitsWanted.All);
            _model.Forward(batch);
            for (int i = 0; i < count; i++)
                logits[first + i] = LogitsOf(_model, i);
        }

        return logits;
    }

    public static float[] LogitsOf(LanguageModel model, int index)
    {
        float[] logits = new float[model.Config.VocabularySize];
        model.ReadLogits(index, logits);
        return logits;
    }
}
