namespace Sluice.Cpu.Threading;

/// <summary>
/// Work that <see cref="WorkerPool"/> spreads over its threads: independent items, claimed one by one in order. Each operation
/// keeps one object of its own and sets its fields before each run, so that running allocates nothing.
/// </summary>
internal abstract class ParallelWork
{
    /// <summary>Does one item. <paramref name="thread"/>, below the pool's number of threads, is whose scratch memory to use.</summary>
    public abstract void Execute(int item, int thread);
}
