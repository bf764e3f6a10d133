using System.Diagnostics;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Kernels;
using Sluice.Cpu.Memory;
using Sluice.Cpu.Threading;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Operations;

/// <summary>
/// <c>y = sum over a row's experts of weight * down(silu(gate x) * up x)</c>. Rows are grouped by expert, and each expert is two matrix
/// products over its rows; an item is a few panels of one expert, so that even one row keeps every thread reading weights. A row's sum
/// is taken in the order of its slots, so it does not depend on the other rows.
/// </summary>
internal sealed unsafe class Experts(WorkerPool pool, KernelSet kernels) : IDisposable
{
    private readonly GateUpWork _gateUp = new(pool, kernels);
    private readonly DownWork _down = new(pool, kernels);
    private readonly SumWork _sum = new(pool, kernels);
    private readonly RowPreparations _wide = new(pool);
    private readonly RowPreparations _narrow = new(pool);
    private readonly ExpertAssignments _assignments = new();
    private readonly Scratch _pointers = new("row pointers of experts");
    private readonly Scratch _inner = new("expert activations");
    private readonly Scratch _outer = new("expert results");

    /// <summary>Memory for results before they are summed; more rows than fit take several passes over ranges of columns.</summary>
    private const long MostResultBytes = 32L << 20;

    /// <summary>Bytes for results of so many rows, each expert's counted, before they are summed.</summary>
    public static long ResultBytes(long assignments, int hidden) =>
        assignments * PanelsAtOnce(assignments, hidden) * PanelMatrix.PanelOutputs * sizeof(float);

    public void Run(CpuActivation x, CpuRouting routing, CpuExperts experts, CpuActivation y, int rows)
    {
        Debug.Assert(x.Width == experts.Hidden && y.Width == experts.Hidden && rows <= routing.Rows, "activations that fit the experts");
        if (rows == 0)
            return;
        _assignments.Sort(routing, rows, experts.Count);
        int assignments = rows * routing.TopK;
        nint innerStride = CpuActivation.StrideOf(experts.Intermediate);
        float* inner = _inner.Take<float>(assignments * innerStride);
        float** pointers = (float**)_pointers.Take<nint>((2L * assignments) + rows);
        float** all = pointers + (2L * assignments);
        for (int row = 0; row < rows; row++)
            all[row] = x.Row(row);
        for (int a = 0; a < assignments; a++)
        {
            pointers[a] = all[_assignments.RowOf[a]];
            pointers[assignments + a] = inner + (a * innerStride);
        }

        Prepare(_wide, experts, isDown: false, pointers, assignments, experts.Hidden, new RowPreparation.SharedRows(all, rows, _assignments.RowOf));
        _gateUp.Run(experts, _assignments, _wide, inner, innerStride);
        Prepare(_narrow, experts, isDown: true, pointers + assignments, assignments, experts.Intermediate, default);

        int panels = PanelMatrix.PanelsOf(experts.Hidden);
        int panelsAtOnce = PanelsAtOnce(assignments, experts.Hidden);
        nint outerStride = CpuActivation.StrideOf(panelsAtOnce * PanelMatrix.PanelOutputs);
        float* outer = _outer.Take<float>(assignments * outerStride);
        for (int first = 0; first < panels; first += panelsAtOnce)
        {
            int count = Math.Min(panelsAtOnce, panels - first);
            _down.Run(experts, _assignments, _narrow, first, count, outer, outerStride);
            _sum.Run(routing, _assignments, outer, outerStride, y, first * PanelMatrix.PanelOutputs, count * PanelMatrix.PanelOutputs, rows);
        }
    }

    private static int PanelsAtOnce(long assignments, int hidden)
    {
        int panels = PanelMatrix.PanelsOf(hidden);
        return (int)Math.Clamp(MostResultBytes / (assignments * PanelMatrix.PanelOutputs * sizeof(float)), Math.Min(panels, 8), panels);
    }

    /// <summary>Makes rows ready for their experts, once for each form that these ask for.</summary>
    private void Prepare(
        RowPreparations rows, CpuExperts experts, bool isDown, float** pointers, int count, int columns, RowPreparation.SharedRows shared)
    {
        int begun = 0;
        for (int i = 0; i < _assignments.ActiveCount; i++)
        {
            int expert = _assignments.ActiveExpert(i);
            RowForm form = kernels.ProductOf(isDown ? experts.All[expert].Down : experts.All[expert].GateUp).Form;
            if ((begun & (1 << (int)form)) == 0)
                rows[form].Begin(form, pointers, count, columns, shared);
            begun |= 1 << (int)form;
            rows[form].Add(_assignments.First(expert), _assignments.Count(expert));
        }

        for (int form = 0; begun >> form != 0; form++)
        {
            if ((begun & (1 << form)) != 0)
                rows[(RowForm)form].Run();
        }
    }

    public void Dispose()
    {
        _wide.Dispose();
        _narrow.Dispose();
        _gateUp.Dispose();
        _assignments.Dispose();
        _pointers.Dispose();
        _inner.Dispose();
        _outer.Dispose();
    }

    /// <summary><c>inner = silu(gate x) * up x</c> for each assignment.</summary>
    private sealed class GateUpWork(WorkerPool pool, KernelSet kernels) : ParallelWork, IDisposable
    {
        private const int MaxPairs = 4;
        private const int MaxRows = RowPacking.StretchRows;
        private const int PairOutputs = 2 * PanelMatrix.PanelOutputs;

        private readonly Scratch _products = new("gate and up of an expert");
        private CpuExperts _experts = null!;
        private ExpertAssignments _assignments = null!;
        private RowPreparations _x = null!;
        private float* _inner;
        private nint _innerStride;
        private float* _product;
        private int _pairs;
        private int _pairsOfItem;

        public void Run(CpuExperts experts, ExpertAssignments assignments, RowPreparations x, float* inner, nint innerStride)
        {
            (_experts, _assignments, _x) = (experts, assignments, x);
            _inner = inner;
            _innerStride = innerStride;
            _product = _products.Take<float>((long)pool.Threads * MaxRows * MaxPairs * PairOutputs);
            _pairs = PanelMatrix.PanelsOf(experts.Intermediate);
            _pairsOfItem = Math.Clamp(_pairs * assignments.ActiveCount / (8 * pool.Threads), 1, Math.Min(MaxPairs, _pairs));
            pool.Run(this, assignments.ActiveCount * ItemsOfExpert);
        }

        public override void Execute(int item, int thread)
        {
            int expert = _assignments.ActiveExpert(item / ItemsOfExpert);
            int pair = item % ItemsOfExpert * _pairsOfItem;
            int pairs = Math.Min(_pairsOfItem, _pairs - pair);
            int first = _assignments.First(expert);
            int rows = _assignments.Count(expert);
            PanelMatrix weights = _experts.All[expert].GateUp;
            PanelProduct multiplication = kernels.ProductOf(weights);
            RowGroup x = _x[multiplication.Form].Group(first, rows);
            float* product = _product + ((long)thread * MaxRows * MaxPairs * PairOutputs);
            int stride = pairs * PairOutputs;
            for (int row = 0; row < rows; row += MaxRows)
            {
                int count = Math.Min(MaxRows, rows - row);
                multiplication.Multiply(weights, 2 * pair, 2 * pairs, x.Slice(row, count), product, stride);
                for (int r = 0; r < count; r++)
                    Activate(product + ((nint)r * stride), pair, pairs, _inner + ((first + row + r) * _innerStride));
            }
        }

        public void Dispose() => _products.Dispose();

        private int ItemsOfExpert => (_pairs + _pairsOfItem - 1) / _pairsOfItem;

        private void Activate(float* product, int pair, int pairs, float* inner)
        {
            for (int p = 0; p < pairs; p++)
            {
                int at = (pair + p) * PanelMatrix.PanelOutputs;
                float* gate = product + (p * PairOutputs);
                int width = Math.Min(PanelMatrix.PanelOutputs, _experts.Intermediate - at);
                kernels.SwiGlu(gate, gate + PanelMatrix.PanelOutputs, inner + at, width);
            }
        }
    }

    /// <summary><c>outer = down inner</c> for each assignment and a range of panels.</summary>
    private sealed class DownWork(WorkerPool pool, KernelSet kernels) : ParallelWork
    {
        private const int MaxPanels = 8;

        private CpuExperts _experts = null!;
        private ExpertAssignments _assignments = null!;
        private RowPreparations _inner = null!;
        private float* _outer;
        private nint _outerStride;
        private int _firstPanel;
        private int _panels;
        private int _panelsOfItem;

        public void Run(
            CpuExperts experts, ExpertAssignments assignments, RowPreparations inner, int firstPanel, int panels, float* outer, nint outerStride)
        {
            (_experts, _assignments, _inner) = (experts, assignments, inner);
            _outer = outer;
            _outerStride = outerStride;
            (_firstPanel, _panels) = (firstPanel, panels);
            _panelsOfItem = Math.Clamp(panels * assignments.ActiveCount / (8 * pool.Threads), 1, Math.Min(MaxPanels, panels));
            pool.Run(this, assignments.ActiveCount * ItemsOfExpert);
        }

        public override void Execute(int item, int thread)
        {
            int expert = _assignments.ActiveExpert(item / ItemsOfExpert);
            int panel = item % ItemsOfExpert * _panelsOfItem;
            int first = _assignments.First(expert);
            PanelMatrix weights = _experts.All[expert].Down;
            PanelProduct product = kernels.ProductOf(weights);
            product.Multiply(
                weights, _firstPanel + panel, Math.Min(_panelsOfItem, _panels - panel),
                _inner[product.Form].Group(first, _assignments.Count(expert)),
                _outer + (first * _outerStride) + (panel * PanelMatrix.PanelOutputs), _outerStride);
        }

        private int ItemsOfExpert => (_panels + _panelsOfItem - 1) / _panelsOfItem;
    }

    /// <summary><c>y = sum over slots of weight * outer</c> for each row and a range of columns.</summary>
    private sealed class SumWork(WorkerPool pool, KernelSet kernels) : RowWork(pool)
    {
        private CpuRouting _routing = null!;
        private ExpertAssignments _assignments = null!;
        private float* _outer;
        private nint _outerStride;
        private CpuActivation _y = null!;
        private int _first;
        private int _columns;

        public void Run(
            CpuRouting routing, ExpertAssignments assignments, float* outer, nint outerStride, CpuActivation y, int first, int columns, int rows)
        {
            (_routing, _assignments) = (routing, assignments);
            _outer = outer;
            _outerStride = outerStride;
            (_y, _first, _columns) = (y, first, Math.Min(columns, y.Width - first));
            Run(rows, 2L * _columns * routing.TopK);
        }

        protected override void Row(int row)
        {
            float* y = _y.Row(row) + _first;
            new Span<float>(y, _columns).Clear();
            for (int slot = 0; slot < _routing.TopK; slot++)
            {
                float weight = _routing.Weights[(row * (long)_routing.TopK) + slot];
                float* result = _outer + (_assignments.PlaceOf(row, slot, _routing.TopK) * _outerStride);
                kernels.AddScaled(result, weight, y, _columns);
            }
        }
    }
}
