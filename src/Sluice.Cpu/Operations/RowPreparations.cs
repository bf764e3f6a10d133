using Sluice.Cpu.Kernels;
using Sluice.Cpu.Threading;

namespace Sluice.Cpu.Operations;

/// <summary>A <see cref="RowPreparation"/> for each form: the parts of a matrix, or a layer's experts, may be of several types.</summary>
internal sealed class RowPreparations(WorkerPool pool) : IDisposable
{
    private readonly RowPreparation?[] _all = new RowPreparation?[Enum.GetValues<RowForm>().Length];

    public RowPreparation this[RowForm form] => _all[(int)form] ??= new RowPreparation(pool);

    public void Dispose()
    {
        foreach (RowPreparation? one in _all)
            one?.Dispose();
    }
}
