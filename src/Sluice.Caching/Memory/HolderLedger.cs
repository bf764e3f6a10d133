namespace Sluice.Caching.Memory;

/// <summary>
/// Who holds what, by name: a leak or a second release is then reported where it happens, with everybody else who holds the thing.
/// Kept in debug builds and tests only, because it allocates.
/// </summary>
internal sealed class HolderLedger(string what)
{
    private readonly Dictionary<int, List<Holder>> _held = [];

    public void Add(int item, Holder holder)
    {
        if (!_held.TryGetValue(item, out List<Holder>? holders))
            _held.Add(item, holders = []);
        else if (holders.Contains(holder))
            throw new IntegrityException($"{what} {item} is taken a second time by {holder}");
        holders.Add(holder);
    }

    public void Remove(int item, Holder holder)
    {
        if (!_held.TryGetValue(item, out List<Holder>? holders) || !holders.Remove(holder))
            throw new IntegrityException($"{what} {item} is released by {holder}, which does not hold it (held by {Describe(item)})");
        if (holders.Count == 0)
            _held.Remove(item);
    }

    /// <summary>All holders of one item now hold another: it was moved.</summary>
    public void Rename(int item, int renamed)
    {
        if (!_held.Remove(item, out List<Holder>? holders) || !_held.TryAdd(renamed, holders))
            throw new IntegrityException($"{what} {item} cannot move to {renamed} (held by {Describe(renamed)})");
    }

    public int Count(int item) => _held.TryGetValue(item, out List<Holder>? holders) ? holders.Count : 0;

    public bool Holds(int item, Holder holder) => _held.TryGetValue(item, out List<Holder>? holders) && holders.Contains(holder);

    public string Describe(int item) =>
        _held.TryGetValue(item, out List<Holder>? holders) ? string.Join(", ", holders) : "nobody";
}
