namespace Sluice.Backends.Reference;

/// <summary>
/// Causal depthwise convolution, then SiLU: <c>y[t, c] = silu(sum over j of w[c, j] * x[t - (taps - 1) + j, c])</c>. Inputs before the
/// span come from the slot, which holds the last <c>taps - 1</c> of them; before a sequence's first token they are zero.
/// </summary>
internal static class CausalConv
{
    public static void Run(
        StepBatch batch, ReferenceActivation x, ReferenceVector weight, ReferenceStateCache states, int layer, ReferenceActivation y)
    {
        foreach (SequenceSpan span in batch.Sequences)
        {
            Span<float> window = states.Convolution(layer, span.StateSlot);
            if (span.FirstPosition == 0)
                window.Clear();
            ReadOnlySpan<StateExport> exports = batch.Exports.Slice(span.FirstExport, span.ExportCount);
            for (int t = 0; t < span.Count; t++)
            {
                Step(x[span.FirstRow + t], weight.Values, window, y[span.FirstRow + t]);
                if (!exports.IsEmpty && exports[0].Length == t + 1)
                {
                    window.CopyTo(states.Convolution(layer, exports[0].Slot));
                    exports = exports[1..];
                }
            }
        }
    }

    /// <summary>One token: <paramref name="window"/> [taps - 1, channels], oldest first, loses its oldest input and gains x.</summary>
    private static void Step(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, Span<float> window, Span<float> y)
    {
        int channels = x.Length;
        int taps = weight.Length / channels;
        for (int c = 0; c < channels; c++)
        {
            float sum = 0;
            for (int j = 0; j < taps - 1; j++)
                sum = MathF.FusedMultiplyAdd(weight[(c * taps) + j], window[(j * channels) + c], sum);
            y[c] = Nonlinearity.Silu(MathF.FusedMultiplyAdd(weight[(c * taps) + taps - 1], x[c], sum));
        }

        if (taps == 1)
            return;
        window[channels..].CopyTo(window);
        x.CopyTo(window[^channels..]);
    }
}
