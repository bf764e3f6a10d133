using Sluice.Core;

namespace Sluice.Backends.Reference;

/// <summary>
/// What comes between the projections and attention: per head, RMS norm of q and k, then rotary; q stays in place, k and v go to the
/// sequence's KV pages, as what is kept of them.
/// </summary>
internal static class QkNormRopeStore
{
    public static void Run(
        StepBatch batch, AttentionConfig shape, ReferenceActivation q, ReferenceActivation k, ReferenceActivation v, ReferenceVector qNorm,
        ReferenceVector kNorm, float epsilon, ReferenceKvCache kv, int layer, KvDtype type)
    {
        float[] frequencies = RotaryEmbedding.Frequencies(shape.RopeTheta, shape.RotaryDim);
        foreach (SequenceSpan span in batch.Sequences)
        {
            for (int t = 0; t < span.Count; t++)
            {
                int row = span.FirstRow + t;
                int position = span.FirstPosition + t;
                for (int head = 0; head < shape.QueryHeads; head++)
                    NormAndRotate(Head(q[row], head), qNorm.Values);
                for (int head = 0; head < shape.KvHeads; head++)
                {
                    Span<float> key = kv.Key(layer, span.PageTable, position, head);
                    Head(k[row], head).CopyTo(key);
                    NormAndRotate(key, kNorm.Values);
                    KvRounding.Round(type, key);
                    Span<float> value = kv.Value(layer, span.PageTable, position, head);
                    Head(v[row], head).CopyTo(value);
                    KvRounding.Round(type, value);
                }

                void NormAndRotate(Span<float> x, ReadOnlySpan<float> weight)
                {
                    RmsNorm.Row(x, weight, epsilon, x);
                    RotaryEmbedding.Rotate(x, position, frequencies);
                }
            }
        }

        Span<float> Head(Span<float> row, int head) => row.Slice(head * shape.HeadDim, shape.HeadDim);
    }
}
