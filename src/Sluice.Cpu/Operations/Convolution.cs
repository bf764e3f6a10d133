using System.Diagnostics;
using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu.Kernels;
using Sluice.Cpu.Memory;
using Sluice.Cpu.Threading;

namespace Sluice.Cpu.Operations;

/// <summary>
/// Causal depthwise convolution and SiLU, with the last <c>taps - 1</c> inputs of each sequence as its state. An item is a strip of
/// channels of one sequence: it reads, updates and exports that strip of the state alone.
/// </summary>
internal sealed unsafe class Convolution(WorkerPool pool, KernelSet kernels) : ParallelWork
{
    /// <summary>Outputs that take a few microseconds, and so are worth a fork.</summary>
    private const long OutputsOfItem = 2048;
    private const int LeastStrip = 512;

    private StepBatch _batch = null!;
    private CpuActivation _input = null!;
    private CpuActivation _output = null!;
    private CpuStateCache _states = null!;
    private float* _weight;
    private int _layer;
    private int _channels;
    private int _taps;
    private int _stripChannels;

    public void Run(StepBatch batch, CpuActivation input, CpuVector weight, CpuStateCache states, int layer, CpuActivation output)
    {
        LinearAttentionConfig shape = states.Shape;
        Debug.Assert(input.Width == shape.ConvChannels && output.Width == input.Width, "a row of channels");
        Debug.Assert(weight.Length == shape.ConvChannels * shape.ConvKernel, "a weight for each channel and tap");
        Debug.Assert(input.Data != output.Data, "a result that does not overwrite later tokens' inputs");
        (_batch, _input, _output, _states, _layer) = (batch, input, output, states, layer);
        (_channels, _taps) = (shape.ConvChannels, shape.ConvKernel);
        _weight = weight.Transposed(_channels, _taps);
        _stripChannels = (int)Math.Clamp(OutputsOfItem * batch.Sequences.Length / Math.Max(1, batch.TokenCount), LeastStrip, OutputsOfItem);
        pool.Run(this, batch.Sequences.Length * Strips);
    }

    public override void Execute(int item, int thread)
    {
        SequenceSpan span = _batch.Sequences[item / Strips];
        int first = item % Strips * _stripChannels;
        int end = Math.Min(_channels, first + _stripChannels);
        float* state = _states.Convolution(_layer, span.StateSlot);
        if (span.FirstPosition == 0)
        {
            for (int j = 0; j < _taps - 1; j++)
                new Span<float>(state + ((nint)j * _channels) + first, end - first).Clear();
        }

        float** inputs = stackalloc float*[_taps];
        for (int token = 0; token < span.Count; token++)
        {
            for (int j = 0; j < _taps; j++)
                inputs[j] = Input(span, state, token - (_taps - 1) + j);
            kernels.CausalConv(inputs, _taps, _weight, _channels, first, end, _output.Row(span.FirstRow + token));
        }

        foreach (StateExport export in _batch.Exports.Slice(span.FirstExport, span.ExportCount))
            Save(span, state, export.Length, _states.Convolution(_layer, export.Slot), first, end);
        Save(span, state, span.Count, state, first, end);
    }

    private int Strips => (_channels + _stripChannels - 1) / _stripChannels;

    /// <summary>The input of a token of the span, or, with a negative index, of one before it.</summary>
    private float* Input(in SequenceSpan span, float* state, int token) =>
        token >= 0 ? _input.Row(span.FirstRow + token) : state + ((nint)(_taps - 1 + token) * _channels);

    /// <summary>Writes the last inputs of the first <paramref name="length"/> tokens; onto the state they come from, oldest first.</summary>
    private void Save(in SequenceSpan span, float* state, int length, float* to, int first, int end)
    {
        for (int j = 0; j < _taps - 1; j++)
        {
            float* input = Input(span, state, length - (_taps - 1) + j);
            new Span<float>(input + first, end - first).CopyTo(new Span<float>(to + ((nint)j * _channels) + first, end - first));
        }
    }
}
