namespace Sluice.Testing;

/// <summary>What <see cref="FakeModel"/> makes of a context, token by token, from the definition: without memory, engine or batch.</summary>
public sealed class FakeContext(bool hasState = true)
{
    private ulong _pages = FakeModel.Seed;
    private ulong _state;

    /// <summary>Tokens so far.</summary>
    public int Length { get; private set; }

    /// <summary>The hash of all of them that decides the logits.</summary>
    public ulong Hash => hasState ? FakeModel.Mix(FakeModel.Mix(_pages, _state), (ulong)Length) : _pages;

    /// <summary>Adds a token.</summary>
    public void Append(int token)
    {
        _pages = FakeModel.AddCell(_pages, new FakeCell(token, Length++));
        _state = FakeModel.Mix(_state, (ulong)token);
    }

    /// <summary>The logits, [vocabulary], of what comes next.</summary>
    public void Logits(Span<float> logits) => FakeModel.Fill(Hash, logits);
}
