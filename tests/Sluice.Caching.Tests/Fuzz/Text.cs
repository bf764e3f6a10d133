namespace Sluice.Caching.Tests.Fuzz;

/// <summary>
/// Tokens of one salt with the hash of every prefix. Hash[p] stands for "these p tokens under this salt", and for the KV of token
/// p - 1 and the state after p tokens, both of which depend on exactly that.
/// </summary>
public sealed class Text
{
    public Text(string salt, int[] tokens)
    {
        Salt = salt;
        Tokens = tokens;
        Hash = new ulong[tokens.Length + 1];
        Hash[0] = Seed(salt);
        for (int i = 0; i < tokens.Length; i++)
            Hash[i + 1] = After(Hash[i], tokens[i]);
    }

    public string Salt { get; }

    public int[] Tokens { get; }

    public ulong[] Hash { get; }

    public int Length => Tokens.Length;

    public static ulong Seed(string salt)
    {
        ulong hash = 0x1234567;
        foreach (char c in salt)
            hash = Rng.Mix(hash, c);
        return hash;
    }

    public static ulong After(ulong hash, int token) => Rng.Mix(hash, (ulong)(uint)token + 1);

    /// <summary>The longest prefix, at most <paramref name="limit"/>, that both share.</summary>
    public int Common(Text other, int limit)
    {
        int low = 0, high = Math.Min(limit, Math.Min(Length, other.Length));
        while (low < high)
        {
            int middle = (low + high + 1) / 2;
            if (Hash[middle] == other.Hash[middle])
                low = middle;
            else
                high = middle - 1;
        }

        return Hash[0] == other.Hash[0] ? low : 0;
    }
}
