using Sluice.Cpu.Threading;

namespace Sluice.Cpu.Operations;

/// <summary>Work on each row by itself: rows are grouped into items that are worth a thread's while.</summary>
internal abstract class RowWork(WorkerPool pool) : ParallelWork
{
    /// <summary>Elements that take about as long as a fork: a few microseconds.</summary>
    private const int ElementsOfItem = 16 * 1024;

    private int _rows;
    private int _rowsOfItem;

    public sealed override void Execute(int item, int thread)
    {
        int end = Math.Min(_rows, (item + 1) * _rowsOfItem);
        for (int row = item * _rowsOfItem; row < end; row++)
            Row(row);
    }

    /// <summary>Does <paramref name="rows"/> rows of about <paramref name="elements"/> elements each.</summary>
    protected void Run(int rows, long elements)
    {
        _rows = rows;
        _rowsOfItem = (int)Math.Clamp(ElementsOfItem / Math.Max(1, elements), 1, Math.Max(1, rows));
        pool.Run(this, (rows + _rowsOfItem - 1) / _rowsOfItem);
    }

    /// <summary>Does one row.</summary>
    protected abstract void Row(int row);
}
