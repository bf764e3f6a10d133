using System.Diagnostics;
using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu.Kernels;
using Sluice.Cpu.Memory;
using Sluice.Cpu.Threading;

namespace Sluice.Cpu.Operations;

/// <summary>
/// The gated delta rule: first q, k and the gates of every token, then every strip of every head's state walks its sequence's tokens.
/// A token's result depends on the state and the token alone, so every way to cut a prompt gives the same bits.
/// </summary>
internal sealed unsafe class GatedDelta(WorkerPool pool, KernelSet kernels) : ParallelWork, IDisposable
{
    private readonly PrepareWork _prepare = new(pool, kernels);
    private readonly Scratch _memory = new("keys and gates of the delta rule");
    private StepBatch _batch = null!;
    private CpuActivation _mixed = null!;
    private CpuActivation _o = null!;
    private CpuStateCache _states = null!;
    private LinearAttentionConfig _shape = null!;
    private int _layer;
    private float* _keys;
    private float* _gates;
    private nint _keyStride;
    private int _stripsOfItem;

    public void Run(
        StepBatch batch, CpuActivation mixed, CpuActivation b, CpuActivation a, CpuVector aLog, CpuVector dtBias, CpuStateCache states,
        int layer, CpuActivation o)
    {
        LinearAttentionConfig shape = states.Shape;
        Debug.Assert(mixed.Width == shape.ConvChannels && o.Width == shape.ValueHeads * shape.ValueDim, "activations that fit the heads");
        Debug.Assert(b.Width == shape.ValueHeads && a.Width == shape.ValueHeads, "gates for each value head");
        (_batch, _mixed, _o, _states, _shape, _layer) = (batch, mixed, o, states, shape, layer);

        // [keyHeads, tokens, q | k] and [valueHeads, tokens, decay | beta]: a head's tokens one after another.
        int tokens = batch.TokenCount;
        _keyStride = (shape.KeyDim + 15) / 16 * 16;
        long keyLength = shape.KeyHeads * (long)tokens * 2 * _keyStride;
        _keys = _memory.Take<float>(keyLength + (shape.ValueHeads * (long)tokens * 2));
        _gates = _keys + keyLength;
        _prepare.Run(shape, mixed, b, a, aLog, dtBias, _keys, _keyStride, _gates, tokens);

        // All strips of a head in one item if heads are enough: neighbouring strips write neighbouring cache lines.
        long strips = batch.Sequences.Length * (long)shape.ValueHeads * states.Strips;
        _stripsOfItem = (int)Math.Clamp(strips / (8L * pool.Threads), 1, states.Strips);
        pool.Run(this, batch.Sequences.Length * ItemsOfSequence);
    }

    public override void Execute(int item, int thread)
    {
        SequenceSpan span = _batch.Sequences[item / ItemsOfSequence];
        (int head, int group) = Math.DivRem(item % ItemsOfSequence, ItemsOfHead);
        int end = Math.Min(_states.Strips, (group + 1) * _stripsOfItem);
        for (int strip = group * _stripsOfItem; strip < end; strip += 2)
            Walk(span, head, strip, Math.Min(2, end - strip));
    }

    public void Dispose() => _memory.Dispose();

    private int ItemsOfHead => (_states.Strips + _stripsOfItem - 1) / _stripsOfItem;

    private int ItemsOfSequence => _shape.ValueHeads * ItemsOfHead;

    /// <summary>One strip or two over all tokens of a sequence, stopping where the state is to be exported.</summary>
    private void Walk(in SequenceSpan span, int head, int strip, int strips)
    {
        nint at = (nint)strip * _states.StripLength;
        float* state = _states.Recurrent(_layer, span.StateSlot, head) + at;
        Span<float> live = new(state, strips * _states.StripLength);
        if (span.FirstPosition == 0)
            live.Clear();

        int done = 0;
        foreach (StateExport export in _batch.Exports.Slice(span.FirstExport, span.ExportCount))
        {
            Advance(span.FirstRow + done, export.Length - done, head, strip, strips, state);
            done = export.Length;
            live.CopyTo(new Span<float>(_states.Recurrent(_layer, export.Slot, head) + at, live.Length));
        }

        Advance(span.FirstRow + done, span.Count - done, head, strip, strips, state);
    }

    private void Advance(int firstRow, int tokens, int head, int strip, int strips, float* state)
    {
        if (tokens == 0)
            return;
        int keyHead = _shape.KeyHeadOf(head);
        int column = (head * _shape.ValueDim) + (strip * CpuStateCache.StripWidth);
        kernels.DeltaRule(
            state, _shape.KeyDim,
            _keys + ((((long)keyHead * _batch.TokenCount) + firstRow) * 2 * _keyStride), _keyStride,
            _gates + ((((long)head * _batch.TokenCount) + firstRow) * 2), 2,
            _mixed.Row(firstRow) + (2 * _shape.KeyHeads * _shape.KeyDim) + column, _mixed.Stride,
            _o.Row(firstRow) + column, _o.Stride,
            Math.Min(strips * CpuStateCache.StripWidth, _shape.ValueDim - (strip * CpuStateCache.StripWidth)), tokens);
    }

    /// <summary>Normalised q and k, <c>exp(g)</c> and beta of each token.</summary>
    private sealed class PrepareWork(WorkerPool pool, KernelSet kernels) : RowWork(pool)
    {
        private const float Epsilon = 1e-6f;

        private LinearAttentionConfig _shape = null!;
        private CpuActivation _mixed = null!;
        private CpuActivation _b = null!;
        private CpuActivation _a = null!;
        private CpuVector _aLog = null!;
        private CpuVector _dtBias = null!;
        private float* _keys;
        private nint _keyStride;
        private float* _gates;
        private int _tokens;

        public void Run(
            LinearAttentionConfig shape, CpuActivation mixed, CpuActivation b, CpuActivation a, CpuVector aLog, CpuVector dtBias,
            float* keys, nint keyStride, float* gates, int tokens)
        {
            (_shape, _mixed, _b, _a, _aLog, _dtBias) = (shape, mixed, b, a, aLog, dtBias);
            (_keyStride, _tokens) = (keyStride, tokens);
            _keys = keys;
            _gates = gates;
            Run(tokens, (2L * shape.KeyHeads * shape.KeyDim) + (64L * shape.ValueHeads));
        }

        protected override void Row(int row)
        {
            float* mixed = _mixed.Row(row);
            int keyDim = _shape.KeyDim;
            for (int head = 0; head < _shape.KeyHeads; head++)
            {
                float* q = _keys + ((((long)head * _tokens) + row) * 2 * _keyStride);
                kernels.L2Norm(mixed + (head * keyDim), Epsilon, 1f / MathF.Sqrt(keyDim), q, keyDim);
                kernels.L2Norm(mixed + ((_shape.KeyHeads + head) * keyDim), Epsilon, 1f, q + _keyStride, keyDim);
            }

            for (int head = 0; head < _shape.ValueHeads; head++)
            {
                float* gates = _gates + ((((long)head * _tokens) + row) * 2);
                gates[0] = Decay(_a.Row(row)[head], _aLog.Data[head], _dtBias.Data[head]);
                gates[1] = kernels.Sigmoid(_b.Row(row)[head]);
            }
        }

        /// <summary><c>exp(-exp(aLog) * softplus(a + dtBias))</c>, in double precision: a decay near one acts over thousands of tokens.</summary>
        private static float Decay(float a, float aLog, float dtBias)
        {
            double x = a + dtBias;
            double softplus = x > 20 ? x : Math.Log(1 + Math.Exp(x));
            return (float)Math.Exp(-Math.Exp(aLog) * softplus);
        }
    }
}
