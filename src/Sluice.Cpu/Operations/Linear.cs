using System.Diagnostics;
using Sluice.Cpu.Kernels;
using Sluice.Cpu.Memory;
using Sluice.Cpu.Threading;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Operations;

/// <summary><c>y = x W^T (+ bias)</c>. An item is a few panels and all rows: nobody else reads those weights.</summary>
internal sealed unsafe class Linear(WorkerPool pool, KernelSet kernels) : ParallelWork, IDisposable
{
    /// <summary>Multiply-adds that are not worth a fork.</summary>
    private const long SmallWork = 64 * 1024;

    private readonly Scratch _pointers = new("row pointers");
    private readonly Scratch _edges = new("the last panel of a matrix");
    private readonly RowPreparations _prepared = new(pool);
    private CpuMatrix _weight = null!;
    private CpuVector? _bias;
    private CpuActivation _y = null!;
    private float** _x;
    private float* _edge;
    private int _rows;
    private int _panelsOfItem;

    public void Run(CpuActivation x, CpuMatrix weight, CpuVector? bias, CpuActivation y, int rows)
    {
        Debug.Assert(x.Width == weight.Columns && y.Width == weight.Rows, "activations that fit the matrix");
        Debug.Assert(bias is null || bias.Length == weight.Rows, "a bias for each output");
        Debug.Assert(weight.Parts.Length > 0, "a matrix loaded for products");
        if (rows == 0)
            return;
        (_weight, _bias, _y, _rows) = (weight, bias, y, rows);
        _x = (float**)_pointers.Take<nint>(rows);
        for (int row = 0; row < rows; row++)
            _x[row] = x.Row(row);
        _edge = _edges.Take<float>((long)pool.Threads * rows * PanelMatrix.PanelOutputs);
        Prepare(weight, rows);

        int panels = (weight.Rows + PanelMatrix.PanelOutputs - 1) / PanelMatrix.PanelOutputs;
        _panelsOfItem = Math.Clamp(panels / (6 * pool.Threads), 1, rows > 2 ? 8 : 4);
        if (rows * (long)weight.Rows * weight.Columns <= SmallWork)
            _panelsOfItem = panels;
        int items = 0;
        foreach (PanelMatrix part in weight.Parts)
            items += ItemsOf(part);
        pool.Run(this, items);
    }

    public override void Execute(int item, int thread)
    {
        int output = 0;
        foreach (PanelMatrix part in _weight.Parts)
        {
            int items = ItemsOf(part);
            if (item < items)
            {
                int first = item * _panelsOfItem;
                Multiply(part, first, Math.Min(_panelsOfItem, part.Panels - first), output, thread);
                return;
            }

            item -= items;
            output += part.Outputs;
        }
    }

    public void Dispose()
    {
        _pointers.Dispose();
        _prepared.Dispose();
        _edges.Dispose();
    }

    private int ItemsOf(PanelMatrix part) => (part.Panels + _panelsOfItem - 1) / _panelsOfItem;

    /// <summary>Makes rows ready for every part, once for each form they ask for.</summary>
    private void Prepare(CpuMatrix weight, int rows)
    {
        int done = 0;
        foreach (PanelMatrix part in weight.Parts)
        {
            RowForm form = kernels.ProductOf(part).Form;
            if ((done & (1 << (int)form)) != 0)
                continue;
            done |= 1 << (int)form;
            RowPreparation prepared = _prepared[form];
            prepared.Begin(form, _x, rows, weight.Columns);
            prepared.Add(0, rows);
            prepared.Run();
        }
    }

    private void Multiply(PanelMatrix part, int first, int panels, int firstOutput, int thread)
    {
        PanelProduct product = kernels.ProductOf(part);
        RowGroup x = _prepared[product.Form].Group(0, _rows);
        int whole = Math.Min(panels, (part.Outputs / PanelMatrix.PanelOutputs) - first);
        int at = firstOutput + (first * PanelMatrix.PanelOutputs);
        if (whole > 0)
            product.Multiply(part, first, whole, x, _y.Data + at, _y.Stride);

        int covered = at + (whole * PanelMatrix.PanelOutputs);
        if (whole < panels)
        {
            // The last panel is wider than what is left of the row: elsewhere, then copied.
            float* edge = _edge + ((long)thread * _rows * PanelMatrix.PanelOutputs);
            product.Multiply(part, first + whole, 1, x, edge, PanelMatrix.PanelOutputs);
            int outputs = part.Outputs % PanelMatrix.PanelOutputs;
            for (int row = 0; row < _rows; row++)
                new Span<float>(edge + ((long)row * PanelMatrix.PanelOutputs), outputs).CopyTo(new Span<float>(_y.Row(row) + covered, outputs));
            covered += outputs;
        }

        if (_bias is null)
            return;
        for (int row = 0; row < _rows; row++)
            kernels.Add(_bias.Data + at, _y.Row(row) + at, covered - at);
    }
}
