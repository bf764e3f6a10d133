using System.Runtime.ExceptionServices;
using Sluice.Core;

namespace Sluice.Checkpoints.Quantising;

/// <summary>Work on the rows of a matrix, on several threads.</summary>
internal static class ParallelRows
{
    /// <summary>Runs <paramref name="work"/> for each row, with buffers that belong to its thread. An error of Sluice's own is thrown as it is.</summary>
    internal static void Run<TBuffers>(int rows, ParallelOptions parallel, Func<TBuffers> buffers, Action<int, TBuffers> work)
    {
        try
        {
            Parallel.For(
                0, rows, parallel, buffers,
                (row, _, mine) =>
                {
                    work(row, mine);
                    return mine;
                },
                _ => { });
        }
        catch (AggregateException e) when (e.InnerException is SluiceException inner)
        {
            ExceptionDispatchInfo.Throw(inner);
        }
    }
}
