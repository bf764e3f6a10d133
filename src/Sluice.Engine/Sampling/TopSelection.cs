using System.Numerics;

namespace Sluice.Engine.Sampling;

/// <summary>
/// The k largest of many logits in one pass: a heap of the best so far, whose worst member is the bar. Whole vectors below the
/// bar are skipped, and almost all are: of V random logits about k ln(V / k) enter the heap. The order is by logit, then by
/// lower id, so the result does not depend on how the pass is cut.
/// </summary>
internal sealed class TopSelection
{
    private readonly float[] _logits;
    private readonly int[] _ids;
    private int _count;

    public TopSelection(int capacity)
    {
        _logits = new float[capacity];
        _ids = new int[capacity];
    }

    /// <summary>Most elements that can be selected.</summary>
    public int Capacity => _ids.Length;

    /// <summary>Ids selected, best first.</summary>
    public ReadOnlySpan<int> Ids => _ids.AsSpan(0, _count);

    /// <summary>Their logits.</summary>
    public ReadOnlySpan<float> Logits => _logits.AsSpan(0, _count);

    /// <summary>Selects the <paramref name="k"/> largest of <paramref name="logits"/>, which hold no NaN.</summary>
    public void Select(ReadOnlySpan<float> logits, int k)
    {
        k = Math.Min(k, logits.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(k, Capacity);
        logits[..k].CopyTo(_logits);
        for (int i = 0; i < k; i++)
            _ids[i] = i;
        _count = k;
        if (k == 0)
            return;
        for (int i = (k / 2) - 1; i >= 0; i--)
            SiftDown(i, k);

        Scan(logits, k);

        // Heap sort: the worst goes to the end, again and again, which leaves the best first.
        for (int end = k - 1; end > 0; end--)
        {
            Swap(0, end);
            SiftDown(0, end);
        }
    }

    private void Scan(ReadOnlySpan<float> logits, int start)
    {
        int id = start;
        int width = Vector<float>.Count;
        for (; id <= logits.Length - width; id += width)
        {
            if (!Vector.GreaterThanAny(new Vector<float>(logits.Slice(id, width)), new Vector<float>(_logits[0])))
                continue;
            for (int lane = id; lane < id + width; lane++)
                Offer(logits[lane], lane);
        }

        for (; id < logits.Length; id++)
            Offer(logits[id], id);
    }

    // Ids arrive ascending, so an equal logit loses to the one that is there.
    private void Offer(float logit, int id)
    {
        if (logit <= _logits[0])
            return;
        _logits[0] = logit;
        _ids[0] = id;
        SiftDown(0, _count);
    }

    private void SiftDown(int node, int count)
    {
        while (true)
        {
            int child = (2 * node) + 1;
            if (child >= count)
                return;
            if (child + 1 < count && IsWorse(child + 1, child))
                child++;
            if (!IsWorse(child, node))
                return;
            Swap(node, child);
            node = child;
        }
    }

    private bool IsWorse(int a, int b) => _logits[a] < _logits[b] || (_logits[a] == _logits[b] && _ids[a] > _ids[b]);

    private void Swap(int a, int b)
    {
        (_logits[a], _logits[b]) = (_logits[b], _logits[a]);
        (_ids[a], _ids[b]) = (_ids[b], _ids[a]);
    }
}
