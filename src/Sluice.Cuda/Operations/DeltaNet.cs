using Sluice.Core;
using Sluice.Cuda.Memory;

namespace Sluice.Cuda.Operations;

/// <summary>Gated DeltaNet: the convolution, and the delta rule over states in slots.</summary>
internal sealed unsafe class DeltaNet(Launcher launcher) : IDisposable
{
    private const int ConvolutionThreads = 128;
    private const int RowsTogether = 16;
    private const int MostKeyDim = 128;

    /// <summary>Refuses what the kernels cannot do.</summary>
    /// <exception cref="BackendException">The shape is beyond them.</exception>
    public static void Check(LinearAttentionConfig? shape)
    {
        if (shape is not null && (shape.KeyDim % 8 != 0 || shape.ValueDim % 8 != 0 || shape.KeyDim > MostKeyDim))
        {
            throw new BackendException(
                $"cuda: expected linear attention heads of a multiple of 8 elements, keys of at most {MostKeyDim}, found {shape.KeyDim} and {shape.ValueDim}; use --device cpu");
        }
    }

    public void Convolve(
        StepPointers step, DeviceStep lists, CudaActivation qkv, CudaVector weight, CudaStateCache states, int layer, CudaActivation mixed, int rows)
    {
        int together = lists.Prefills.Count == 0 ? 1 : RowsTogether;
        LinearAttentionConfig shape = states.Shape;
        int channels = shape.ConvChannels;
        int state = checked(shape.ValueHeads * shape.KeyDim * shape.ValueDim);
        StateMap map = states.Map;
        (ulong from, int fromStride, ulong weights) = (qkv.Address, qkv.Stride, weight.Address);
        (ulong to, int toStride) = (mixed.Address, mixed.Stride);
        launcher.Get(
                "causal_conv.cu", "causal_conv", () => [$"TAPS={shape.ConvKernel}", $"CHANNELS={channels}", $"STATE={state}", $"ROWS={together}"],
                shape.ConvKernel, channels, state, together)
            .Launch(
                launcher.Stream, (Launcher.CeilDiv(channels, 8 * ConvolutionThreads), Launcher.CeilDiv(rows, together), 1), ConvolutionThreads, 0,
                &step, &map, &layer, &from, &fromStride, &weights, &to, &toStride, &rows);
    }

    public void Run(
        StepPointers step, DeviceStep lists, CudaActivation mixed, CudaActivation b, CudaActivation a, CudaVector aLog, CudaVector dtBias,
        CudaStateCache states, int layer, CudaActivation o)
    {
        if (lists.Decodes.Count > 0)
            Recur(step, lists.Decodes, mixed, b, a, aLog, dtBias, states, layer, o);
        if (lists.Prefills.Count > 0)
            Recur(step, lists.Prefills, mixed, b, a, aLog, dtBias, states, layer, o);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    private void Recur(
        StepPointers step, (ulong Address, int Count) spans, CudaActivation mixed, CudaActivation b, CudaActivation a, CudaVector aLog, CudaVector dtBias,
        CudaStateCache states, int layer, CudaActivation o)
    {
        LinearAttentionConfig shape = states.Shape;
        int threads = Math.Min(128, Launcher.CeilDiv(shape.ValueDim, 32) * 32);
        StateMap map = states.Map;
        (ulong list, ulong from, int fromStride) = (spans.Address, mixed.Address, mixed.Stride);
        (ulong bAt, int bStride, ulong aAt, int aStride) = (b.Address, b.Stride, a.Address, a.Stride);
        (ulong rates, ulong biases, ulong to, int toStride) = (aLog.Address, dtBias.Address, o.Address, o.Stride);
        launcher.Get(
                "gated_delta_rule_recurrent.cu", "gated_delta_rule_recurrent",
                () =>
                [
                    $"KEY_HEADS={shape.KeyHeads}", $"VALUE_HEADS={shape.ValueHeads}", $"KEY_DIM={shape.KeyDim}", $"VALUE_DIM={shape.ValueDim}",
                ],
                shape.KeyHeads, shape.ValueHeads, shape.KeyDim, shape.ValueDim)
            .Launch(
                launcher.Stream, (shape.ValueHeads, Launcher.CeilDiv(shape.ValueDim, threads), spans.Count), threads, 0,
                &step, &map, &layer, &list, &from, &fromStride, &bAt, &bStride, &aAt, &aStride, &rates, &biases, &to, &toStride);
    }
}
