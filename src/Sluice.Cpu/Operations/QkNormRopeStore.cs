using System.Diagnostics;
using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu.Kernels;
using Sluice.Cpu.Memory;
using Sluice.Cpu.Threading;

namespace Sluice.Cpu.Operations;

/// <summary>Norm and rotary embedding of every query and key head; queries stay in place, keys and values go to their pages.</summary>
internal sealed unsafe class QkNormRopeStore(WorkerPool pool, KernelSet kernels, StepRows rows) : RowWork(pool)
{
    private StepBatch _batch = null!;
    private AttentionConfig _shape = null!;
    private CpuActivation _q = null!;
    private CpuActivation _k = null!;
    private CpuActivation _v = null!;
    private CpuVector _qNorm = null!;
    private CpuVector _kNorm = null!;
    private CpuKvCache _kv = null!;
    private float* _angles;
    private float _epsilon;
    private int _layer;

    public void Run(
        StepBatch batch, AttentionConfig shape, CpuActivation q, CpuActivation k, CpuActivation v, CpuVector qNorm, CpuVector kNorm,
        float epsilon, CpuKvCache kv, int layer)
    {
        Debug.Assert(q.Width == shape.QueryHeads * shape.HeadDim, "a query for each query head");
        Debug.Assert(k.Width == shape.KvHeads * shape.HeadDim && v.Width == k.Width, "a key and a value for each head");
        Debug.Assert(qNorm.Length == shape.HeadDim && kNorm.Length == shape.HeadDim, "norms as wide as a head");
        Debug.Assert(kv.KvHeads == shape.KvHeads && kv.HeadDim == shape.HeadDim, "a cache for these heads");
        (_batch, _shape, _q, _k, _v, _qNorm, _kNorm) = (batch, shape, q, k, v, qNorm, kNorm);
        (_epsilon, _kv, _layer) = (epsilon, kv, layer);
        _angles = rows.Angles(batch, shape.RopeTheta, shape.RotaryDim);
        Run(batch.TokenCount, 2L * (q.Width + (2 * k.Width)));
    }

    protected override void Row(int row)
    {
        int headDim = _shape.HeadDim;
        int half = _shape.RotaryDim / 2;
        float* cos = _angles + ((long)row * _shape.RotaryDim);
        for (int head = 0; head < _shape.QueryHeads; head++)
        {
            float* q = _q.Row(row) + (head * headDim);
            kernels.RmsNorm(q, _qNorm.Data, _epsilon, q, headDim);
            kernels.Rotate(q, cos, cos + half, half);
        }

        int position = _batch.Positions[row];
        int page = _batch.Sequences[rows.SequenceOf(row)].PageTable[position / KvCache.PageTokens];
        int slot = position % KvCache.PageTokens;
        float* key = stackalloc float[headDim];
        for (int head = 0; head < _shape.KvHeads; head++)
        {
            kernels.RmsNorm(_k.Row(row) + (head * headDim), _kNorm.Data, _epsilon, key, headDim);
            kernels.Rotate(key, cos, cos + half, half);
            _kv.Store(_layer, page, head, slot, key, _v.Row(row) + (head * headDim));
        }
    }
}
