using System.Diagnostics;
using Sluice.Backends;
using Sluice.Cpu.Kernels;
using Sluice.Cpu.Memory;
using Sluice.Cpu.Threading;

namespace Sluice.Cpu.Operations;

/// <summary><c>hidden[i] = table[tokens[i]]</c>.</summary>
internal sealed unsafe class Embed(WorkerPool pool) : RowWork(pool)
{
    private StepBatch _batch = null!;
    private CpuMatrix _table = null!;
    private CpuActivation _hidden = null!;

    public void Run(StepBatch batch, CpuMatrix table, CpuActivation hidden)
    {
        Debug.Assert(table.Columns == hidden.Width, "an embedding as wide as its result");
        (_batch, _table, _hidden) = (batch, table, hidden);
        Run(batch.TokenCount, 4L * table.Columns);
    }

    protected override void Row(int row) => _table.DecodeRow(_batch.Tokens[row], new Span<float>(_hidden.Row(row), _hidden.Width));
}

/// <summary><c>residual += delta</c> if there is a delta, then <c>y = rmsnorm(residual) * weight</c> if there is a weight.</summary>
internal sealed unsafe class AddNorm(WorkerPool pool, KernelSet kernels) : RowWork(pool)
{
    private CpuActivation _residual = null!;
    private CpuActivation? _delta;
    private CpuVector? _weight;
    private CpuActivation? _y;
    private float _epsilon;

    public void Run(CpuActivation residual, CpuActivation? delta, CpuVector? weight, float epsilon, CpuActivation? y, int rows)
    {
        Debug.Assert(delta is null || delta.Width == residual.Width, "a delta as wide as the residual");
        Debug.Assert(weight is null || weight.Length == residual.Width, "a weight as wide as the residual");
        (_residual, _delta, _weight, _epsilon, _y) = (residual, delta, weight, epsilon, y);
        Run(rows, 2L * residual.Width);
    }

    protected override void Row(int row)
    {
        float* residual = _residual.Row(row);
        if (_delta is not null)
            kernels.Add(_delta.Row(row), residual, _residual.Width);
        if (_weight is not null)
            kernels.RmsNorm(residual, _weight.Data, _epsilon, _y!.Row(row), _residual.Width);
    }
}

/// <summary><c>y = silu(gateUp[:, :I]) * gateUp[:, I:]</c>.</summary>
internal sealed unsafe class SwiGlu(WorkerPool pool, KernelSet kernels) : RowWork(pool)
{
    private CpuActivation _gateUp = null!;
    private CpuActivation _y = null!;

    public void Run(CpuActivation gateUp, CpuActivation y, int rows)
    {
        Debug.Assert(gateUp.Width == 2 * y.Width, "gate and up side by side");
        (_gateUp, _y) = (gateUp, y);
        Run(rows, 4L * y.Width);
    }

    protected override void Row(int row)
    {
        float* gate = _gateUp.Row(row);
        kernels.SwiGlu(gate, gate + _y.Width, _y.Row(row), _y.Width);
    }
}

/// <summary>Per head of the weight's width: <c>y = rmsnorm(o) * weight * silu(z)</c>.</summary>
internal sealed unsafe class GatedNorm(WorkerPool pool, KernelSet kernels) : RowWork(pool)
{
    private CpuActivation _o = null!;
    private CpuActivation _z = null!;
    private CpuActivation _y = null!;
    private CpuVector _weight = null!;
    private float _epsilon;

    public void Run(CpuActivation o, CpuActivation z, CpuVector weight, float epsilon, CpuActivation y, int rows)
    {
        Debug.Assert(o.Width == z.Width && o.Width == y.Width && o.Width % weight.Length == 0, "heads as wide as the weight");
        (_o, _z, _weight, _epsilon, _y) = (o, z, weight, epsilon, y);
        Run(rows, 4L * o.Width);
    }

    protected override void Row(int row)
    {
        int width = _weight.Length;
        for (int at = 0; at < _o.Width; at += width)
            kernels.GatedRmsNorm(_o.Row(row) + at, _z.Row(row) + at, _weight.Data, _epsilon, _y.Row(row) + at, width);
    }
}

/// <summary>Each row's experts and their weights.</summary>
internal sealed unsafe class Route(WorkerPool pool, KernelSet kernels) : RowWork(pool)
{
    private CpuActivation _logits = null!;
    private CpuRouting _routing = null!;
    private bool _normalise;

    public void Run(CpuActivation logits, bool normalise, CpuRouting routing, int rows)
    {
        Debug.Assert(routing.TopK <= logits.Width && rows <= routing.Rows, "room for the routing");
        (_logits, _normalise, _routing) = (logits, normalise, routing);
        Run(rows, logits.Width * (4L + (routing.TopK / 4)));
    }

    protected override void Row(int row)
    {
        // Choosing strikes experts off, and the logits are the caller's.
        int experts = _logits.Width;
        float* logits = stackalloc float[experts];
        Buffer.MemoryCopy(_logits.Row(row), logits, experts * sizeof(float), experts * sizeof(float));
        long at = row * (long)_routing.TopK;
        kernels.Route(logits, experts, _routing.TopK, _normalise, _routing.Experts + at, _routing.Weights + at);
    }
}

/// <summary><c>y += sigmoid(gate[:, 0]) * x</c>.</summary>
internal sealed unsafe class AddGated(WorkerPool pool, KernelSet kernels) : RowWork(pool)
{
    private CpuActivation _x = null!;
    private CpuActivation _gate = null!;
    private CpuActivation _y = null!;

    public void Run(CpuActivation x, CpuActivation gate, CpuActivation y, int rows)
    {
        Debug.Assert(x.Width == y.Width, "equal widths");
        (_x, _gate, _y) = (x, gate, y);
        Run(rows, x.Width);
    }

    protected override void Row(int row) =>
        kernels.AddScaled(_x.Row(row), kernels.Sigmoid(_gate.Row(row)[0]), _y.Row(row), _y.Width);
}
