using System.Runtime.InteropServices;

namespace Sluice.Engine.Scheduling;

/// <summary>
/// Takes turns between clients (start-time fair queueing): a request's turn is when its client's earlier ones have had their tokens,
/// or now if that is later. "Now" moves on as tokens are computed, shared by the clients that have requests, so a turn once given
/// comes, whoever else arrives. With one client it is first come, first served. Counts tokens, knows no time.
/// </summary>
internal sealed class FairClock
{
    private const int PruneAt = 4096;

    private readonly Dictionary<string, Share> _clients = new(StringComparer.Ordinal);
    private readonly List<string> _idle = [];
    private double _now;
    private int _active;

    /// <summary>A request of about <paramref name="tokens"/> tokens comes: its turn, in virtual tokens.</summary>
    public double Enter(string client, int tokens)
    {
        if (_clients.Count >= PruneAt)
            Prune();
        ref Share share = ref CollectionsMarshal.GetValueRefOrAddDefault(_clients, client, out _);
        if (share.Requests++ == 0)
            _active++;
        double turn = Math.Max(_now, share.Next);
        share.Next = turn + tokens;
        return turn;
    }

    /// <summary>A request of a client has ended.</summary>
    public void Leave(string client)
    {
        ref Share share = ref CollectionsMarshal.GetValueRefOrNullRef(_clients, client);
        if (--share.Requests == 0)
            _active--;
    }

    /// <summary>So many tokens were computed, for anybody.</summary>
    public void Advance(int tokens) => _now += (double)tokens / Math.Max(1, _active);

    /// <summary>Clients without requests are forgotten once their share is in the past.</summary>
    private void Prune()
    {
        _idle.Clear();
        foreach ((string client, Share share) in _clients)
        {
            if (share.Requests == 0 && share.Next <= _now)
                _idle.Add(client);
        }

        foreach (string client in _idle)
            _clients.Remove(client);
    }

    private record struct Share(int Requests, double Next);
}
