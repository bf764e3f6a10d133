using Sluice.Cpu.Memory;

namespace Sluice.Cpu.Operations;

/// <summary>
/// The rows of a step grouped by expert: a counting sort of (row, slot) pairs, which keeps rows in order within an expert. Assignments
/// are numbered in sorted order.
/// </summary>
internal sealed unsafe class ExpertAssignments : IDisposable
{
    private readonly Scratch _memory = new("expert assignments");
    private int* _first;
    private int* _active;
    private int* _rowOf;
    private int* _placeOf;

    /// <summary>Experts that have rows.</summary>
    public int ActiveCount { get; private set; }

    /// <summary>The i-th expert that has rows.</summary>
    public int ActiveExpert(int i) => _active[i];

    /// <summary>First assignment of an expert.</summary>
    public int First(int expert) => _first[expert];

    /// <summary>Assignments of an expert.</summary>
    public int Count(int expert) => _first[expert + 1] - _first[expert];

    /// <summary>The row of each assignment.</summary>
    public int* RowOf => _rowOf;

    /// <summary>The assignment of a row's slot.</summary>
    public int PlaceOf(int row, int slot, int topK) => _placeOf[(row * topK) + slot];

    public void Sort(CpuRouting routing, int rows, int experts)
    {
        int assignments = rows * routing.TopK;
        _first = _memory.Take<int>((2L * experts) + 1 + (2L * assignments));
        _active = _first + experts + 1;
        _rowOf = _active + experts;
        _placeOf = _rowOf + assignments;

        new Span<int>(_first, experts + 1).Clear();
        for (int a = 0; a < assignments; a++)
            _first[routing.Experts[a] + 1]++;
        ActiveCount = 0;
        for (int e = 0; e < experts; e++)
        {
            if (_first[e + 1] > 0)
                _active[ActiveCount++] = e;
            _first[e + 1] += _first[e];
        }

        // Filling moves each expert's start to its end, that is to the start of the next: shifted back afterwards.
        for (int a = 0; a < assignments; a++)
        {
            int place = _first[routing.Experts[a]]++;
            _rowOf[place] = a / routing.TopK;
            _placeOf[a] = place;
        }

        for (int e = experts; e > 0; e--)
            _first[e] = _first[e - 1];
        _first[0] = 0;
    }

    public void Dispose() => _memory.Dispose();
}
