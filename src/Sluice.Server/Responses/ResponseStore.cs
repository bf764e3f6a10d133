namespace Sluice.Server.Responses;

/// <summary>A response that is kept, as JSON.</summary>
/// <param name="Response">The response.</param>
/// <param name="Input">Its input's items: an array.</param>
/// <param name="Messages">The conversation up to and with it, as templates read it: an array.</param>
internal sealed record StoredResponse(byte[] Response, byte[] Input, byte[] Messages)
{
    public long Bytes => Response.LongLength + Input.LongLength + Messages.LongLength;
}

/// <summary>
/// Responses kept in memory, so that clients can see them again and go on from them: for a day, and no more bytes than there is room
/// for, oldest out first. A client sees its own alone, and what one client keeps pushes out its own before another's.
/// </summary>
internal sealed class ResponseStore
{
    public static readonly TimeSpan Lifetime = TimeSpan.FromDays(1);

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Shelf> _shelves = new(StringComparer.Ordinal);
    private readonly TimeProvider _clock;
    private readonly long _capacity;
    private long _bytes;

    /// <param name="clock">Tells what has expired.</param>
    /// <param name="capacity">Most bytes to keep.</param>
    public ResponseStore(TimeProvider clock, long capacity = 64 << 20)
    {
        _clock = clock;
        _capacity = capacity;
    }

    /// <summary>Bytes kept.</summary>
    public long Bytes
    {
        get
        {
            lock (_lock)
                return _bytes;
        }
    }

    /// <summary>Keeps a response; one too large for the store is not kept.</summary>
    public void Add(string owner, string id, StoredResponse response)
    {
        lock (_lock)
        {
            DropExpired();
            if (response.Bytes > _capacity)
                return;
            if (!_shelves.TryGetValue(owner, out Shelf? shelf))
                _shelves[owner] = shelf = new Shelf();
            shelf.Add(id, new Entry(response, _clock.GetUtcNow() + Lifetime));
            _bytes += response.Bytes;
            while (_bytes > _capacity)
                Drop(_shelves.MaxBy(s => s.Value.Bytes));
        }
    }

    /// <summary>Finds a response; null if there is none of this id, no more, or not this owner's.</summary>
    public StoredResponse? Find(string owner, string id)
    {
        lock (_lock)
        {
            DropExpired();
            return _shelves.GetValueOrDefault(owner)?.Find(id)?.Response;
        }
    }

    /// <summary>Forgets a response; false if there is none.</summary>
    public bool Remove(string owner, string id)
    {
        lock (_lock)
        {
            if (_shelves.GetValueOrDefault(owner) is not { } shelf || shelf.Remove(id) is not { } entry)
                return false;
            _bytes -= entry.Response.Bytes;
            if (shelf.Bytes == 0)
                _shelves.Remove(owner);
            return true;
        }
    }

    private void DropExpired()
    {
        DateTimeOffset now = _clock.GetUtcNow();
        foreach (KeyValuePair<string, Shelf> shelf in _shelves.ToArray())
        {
            while (shelf.Value.Oldest is { } oldest && oldest.Expires <= now)
                Drop(shelf);
        }
    }

    private void Drop(KeyValuePair<string, Shelf> shelf)
    {
        _bytes -= shelf.Value.RemoveOldest().Response.Bytes;
        if (shelf.Value.Bytes == 0)
            _shelves.Remove(shelf.Key);
    }

    private sealed record Entry(StoredResponse Response, DateTimeOffset Expires);

    /// <summary>One owner's responses, oldest first.</summary>
    private sealed class Shelf
    {
        private readonly Dictionary<string, LinkedListNode<(string Id, Entry Entry)>> _byId = new(StringComparer.Ordinal);
        private readonly LinkedList<(string Id, Entry Entry)> _byAge = [];

        public long Bytes { get; private set; }

        public Entry? Oldest => _byAge.First?.Value.Entry;

        public void Add(string id, Entry entry)
        {
            _byId.Add(id, _byAge.AddLast((id, entry)));
            Bytes += entry.Response.Bytes;
        }

        public Entry? Find(string id) => _byId.GetValueOrDefault(id)?.Value.Entry;

        public Entry? Remove(string id)
        {
            if (!_byId.Remove(id, out LinkedListNode<(string Id, Entry Entry)>? node))
                return null;
            _byAge.Remove(node);
            Bytes -= node.Value.Entry.Response.Bytes;
            return node.Value.Entry;
        }

        public Entry RemoveOldest() => Remove(_byAge.First!.Value.Id)!;
    }
}
