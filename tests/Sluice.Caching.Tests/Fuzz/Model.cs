using Sluice.Caching.Tree;
using Sluice.Core;

namespace Sluice.Caching.Tests.Fuzz;

/// <summary>A checkpoint the tree should have.</summary>
public sealed class ModelCheckpoint(Text text, int position, long lastUse)
{
    public Text Text { get; } = text;

    public int Position { get; } = position;

    public long LastUse { get; set; } = lastUse;

    public int Leases { get; set; }

    /// <summary>The tree's estimate, taken as given: it is tested by itself.</summary>
    public double LogChance { get; set; }

    /// <summary>Content from this position on is bad; int.MaxValue when sound.</summary>
    public int CondemnedFrom { get; set; } = int.MaxValue;

    public bool Condemned => CondemnedFrom < int.MaxValue;

    public ulong Hash => Text.Hash[Position];
}

/// <summary>
/// What a prefix cache is, without a tree: the set of all prefixes ever seen, and the list of checkpoints with the whole text of
/// each. Slow and obvious.
/// </summary>
public sealed class Model(MemoryGeometry geometry, TreeOptions options)
{
    /// <summary>Hashes of all prefixes known.</summary>
    public HashSet<ulong> Keys { get; } = [];

    /// <summary>Checkpoints by the hash of their prefix; for models with states.</summary>
    public Dictionary<ulong, ModelCheckpoint> Checkpoints { get; } = [];

    /// <summary>Prefixes whose last token has KV, and one text each that begins so; for models without states.</summary>
    public Dictionary<ulong, (Text Text, int Position)> Resident { get; } = [];

    /// <summary>Of those, the bad ones.</summary>
    public HashSet<ulong> Condemned { get; } = [];

    public int KeyDepth(Text query)
    {
        int depth = 0;
        while (depth < query.Length && Keys.Contains(query.Hash[depth + 1]))
            depth++;
        return depth;
    }

    public int KvDepth(Text query)
    {
        int depth = 0;
        if (!geometry.HasStates)
        {
            while (depth < query.Length && Resident.ContainsKey(query.Hash[depth + 1]))
                depth++;
            return depth;
        }

        foreach (ModelCheckpoint checkpoint in Checkpoints.Values)
            depth = Math.Max(depth, checkpoint.Text.Common(query, checkpoint.Position));
        return depth;
    }

    public int Position(Text query)
    {
        int limit = query.Length - 1;
        if (!geometry.HasStates)
        {
            int depth = 0;
            while (depth < limit && Resident.ContainsKey(query.Hash[depth + 1]) && !Condemned.Contains(query.Hash[depth + 1]))
                depth++;
            return depth;
        }

        for (int position = limit; position > 0; position--)
        {
            if (Checkpoints.TryGetValue(query.Hash[position], out ModelCheckpoint? found) && !found.Condemned)
                return position;
        }

        return 0;
    }

    public void AddKeys(Text text, int length)
    {
        for (int i = 1; i <= length; i++)
            Keys.Add(text.Hash[i]);
    }

    /// <summary>Tells whether the tree must take a checkpoint, and takes it.</summary>
    public bool Attach(Text text, int position, long tick)
    {
        if (position > SoundTo(text) || Checkpoints.ContainsKey(text.Hash[position]))
            return false;
        Checkpoints.Add(text.Hash[position], new ModelCheckpoint(text, position, tick));
        return true;
    }

    /// <summary>Tokens whose KV the tree must take, for models without states.</summary>
    public int Adopt(Text text, int length)
    {
        int adopted = 0;
        for (int i = 1; i <= length && !Condemned.Contains(text.Hash[i]); i++)
        {
            if (Resident.TryAdd(text.Hash[i], (text, i)))
                adopted++;
        }

        return adopted;
    }

    public void Evict(ulong hash) => ViolationException.Unless(Checkpoints.Remove(hash), "an evicted checkpoint that never was");

    /// <summary>What shares more than <paramref name="from"/> tokens with a failed text goes, or is condemned if leased; with states.</summary>
    public void Forget(Text text, int from)
    {
        if (from >= text.Length)
            return;
        foreach (ModelCheckpoint checkpoint in Checkpoints.Values.ToArray())
        {
            if (checkpoint.Position <= from || checkpoint.Text.Hash[from + 1] != text.Hash[from + 1])
                continue;
            if (checkpoint.Leases == 0)
                Checkpoints.Remove(checkpoint.Hash);
            else
                checkpoint.CondemnedFrom = Math.Min(checkpoint.CondemnedFrom, from);
        }
    }

    /// <summary>
    /// The same without states, where leases keep whole spans: checks that what the tree keeps is what it may, and follows it.
    /// </summary>
    public void Forget(Text text, int from, HashSet<ulong> kept, HashSet<ulong> leased)
    {
        foreach ((ulong hash, (Text known, int position)) in Resident.ToArray())
        {
            bool continues = position > from && from < text.Length && known.Hash[from + 1] == text.Hash[from + 1];
            ViolationException.Unless(continues || kept.Contains(hash), $"KV of {position} tokens went, which the failed sequence had no part in");
            if (!kept.Contains(hash))
            {
                Resident.Remove(hash);
                Condemned.Remove(hash);
            }
            else if (continues)
            {
                ViolationException.Unless(leased.Contains(hash), $"KV of {position} tokens was kept, which nobody leases");
                Condemned.Add(hash);
            }
        }
    }

    public void Release(ulong hash)
    {
        ModelCheckpoint checkpoint = Checkpoints[hash];
        if (--checkpoint.Leases == 0 && checkpoint.Condemned)
            Checkpoints.Remove(hash);
    }

    /// <summary>The worth of a checkpoint, from the definition.</summary>
    public double Worth(ModelCheckpoint checkpoint)
    {
        int previous = 0;
        bool last = true;
        foreach (ModelCheckpoint other in Checkpoints.Values)
        {
            if (other.Position < checkpoint.Position && other.Hash == checkpoint.Text.Hash[other.Position])
                previous = Math.Max(previous, other.Position);
            if (other.Position > checkpoint.Position && other.Text.Hash[checkpoint.Position] == checkpoint.Hash)
                last = false;
        }

        return Worth(checkpoint.LogChance, previous, checkpoint.Position, last, checkpoint.LastUse);
    }

    public double Worth(double logChance, int previous, int position, bool last, long lastUse)
    {
        double tokens = position - previous;
        double cost = 0;
        for (int i = previous; i < position; i++)
            cost += 1 + (options.Eviction.AttentionCost * position);
        double bytes = geometry.SlotBytes + (last ? tokens * geometry.PageBytes / geometry.PageTokens : 0);
        return logChance + Math.Log2(cost / bytes) + (lastUse / options.Eviction.HalfLife);
    }

    /// <summary>The worth below which no checkpoint that may be evicted is, of one salt or all.</summary>
    public double LeastWorth(string? salt)
    {
        double least = double.PositiveInfinity;
        foreach (ModelCheckpoint checkpoint in Checkpoints.Values)
        {
            if (checkpoint.Leases == 0 && (salt is null || string.Equals(salt, checkpoint.Text.Salt, StringComparison.Ordinal)))
                least = Math.Min(least, Worth(checkpoint));
        }

        return least;
    }

    /// <summary>How far a text's path is free of condemned content.</summary>
    private int SoundTo(Text text)
    {
        int sound = int.MaxValue;
        foreach (ModelCheckpoint checkpoint in Checkpoints.Values)
        {
            int from = checkpoint.CondemnedFrom;
            if (checkpoint.Condemned && from < text.Length && checkpoint.Text.Hash[from + 1] == text.Hash[from + 1])
                sound = Math.Min(sound, from);
        }

        return sound;
    }
}
