using Microsoft.Extensions.Time.Testing;
using Sluice.Server.Responses;

namespace Sluice.Server.Tests;

/// <summary>What the store keeps, for how long, and for whom.</summary>
public sealed class ResponseStoreTests
{
    private readonly FakeTimeProvider _clock = new();

    [Fact]
    public void Nobody_sees_anothers()
    {
        var store = new ResponseStore(_clock);
        store.Add("ada", "1", Of(10));
        Assert.NotNull(store.Find("ada", "1"));
        Assert.Null(store.Find("bob", "1"));
        Assert.False(store.Remove("bob", "1"));
        Assert.True(store.Remove("ada", "1"));
        Assert.False(store.Remove("ada", "1"));
        Assert.Equal(0, store.Bytes);
    }

    [Fact]
    public void What_has_expired_is_gone()
    {
        var store = new ResponseStore(_clock);
        store.Add("ada", "1", Of(10));
        _clock.Advance(ResponseStore.Lifetime / 2);
        store.Add("bob", "2", Of(10));
        _clock.Advance(ResponseStore.Lifetime / 2);
        Assert.Null(store.Find("ada", "1"));
        Assert.NotNull(store.Find("bob", "2"));
        Assert.Equal(10, store.Bytes);
    }

    [Fact]
    public void Who_keeps_most_loses_its_oldest()
    {
        var store = new ResponseStore(_clock, capacity: 100);
        store.Add("bob", "b", Of(20));
        for (int i = 0; i < 50; i++)
            store.Add("ada", $"{i}", Of(25));
        Assert.NotNull(store.Find("bob", "b"));
        Assert.Null(store.Find("ada", "46"));
        Assert.NotNull(store.Find("ada", "49"));
        Assert.Equal(95, store.Bytes);
        store.Add("ada", "huge", Of(101));
        Assert.Null(store.Find("ada", "huge"));
        Assert.Equal(95, store.Bytes);
    }

    private static StoredResponse Of(int bytes) => new(new byte[bytes], [], []);
}
