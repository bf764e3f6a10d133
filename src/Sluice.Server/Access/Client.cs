using System.Diagnostics.CodeAnalysis;
using System.Security.Claims;
using System.Security.Principal;
using System.Threading.RateLimiting;
using Sluice.Server.Http;

namespace Sluice.Server.Access;

/// <summary>A bearer of a key at run time: an identity, and how much of its limits is used.</summary>
internal sealed class Client : IDisposable
{
    private static readonly TimeSpan ShortestPeriod = TimeSpan.FromMilliseconds(100);

    private readonly TokenBucketRateLimiter? _rate;
    private readonly ConcurrencyLimiter? _concurrency;

    public Client(ApiKey key)
    {
        Identity = new ClientIdentity(key.Name, key.CacheSalt);
        Principal = new ClaimsPrincipal(new GenericIdentity(key.Name, "ApiKey"));
        _rate = key.RequestsPerMinute is { } rate ? CreateRate(rate) : null;
        _concurrency = key.MaxConcurrentRequests is { } most ? new ConcurrencyLimiter(new ConcurrencyLimiterOptions { PermitLimit = most }) : null;
    }

    public ClientIdentity Identity { get; }

    /// <summary>The same, as ASP.NET Core knows users.</summary>
    public ClaimsPrincipal Principal { get; }

    /// <summary>Counts a request; the lease, if there is one, is held while the request runs.</summary>
    /// <exception cref="RefusedException">A limit is reached.</exception>
    public RateLimitLease? Enter()
    {
        RateLimitLease? place = _concurrency?.AttemptAcquire();
        if (place is { IsAcquired: false })
        {
            place.Dispose();
            throw RefusedException.TooMany("too many requests of this API key run at a time; wait for one to end", "concurrency_limit_exceeded", TimeSpan.FromSeconds(1));
        }

        using RateLimitLease? turn = _rate?.AttemptAcquire();
        if (turn is { IsAcquired: false })
        {
            place?.Dispose();
            TimeSpan wait = turn.TryGetMetadata(MetadataName.RetryAfter, out TimeSpan after) ? after : TimeSpan.FromSeconds(1);
            throw RefusedException.TooMany("this API key has sent too many requests; try again later", "rate_limit_exceeded", wait);
        }

        return place;
    }

    public void Dispose()
    {
        _rate?.Dispose();
        _concurrency?.Dispose();
    }

    [SuppressMessage("Reliability", "CA2000", Justification = "the caller keeps it")]
    private static TokenBucketRateLimiter CreateRate(int perMinute)
    {
        TimeSpan each = TimeSpan.FromMinutes(1) / perMinute;
        int together = (int)Math.Ceiling(ShortestPeriod / each);
        return new TokenBucketRateLimiter(new TokenBucketRateLimiterOptions
        {
            TokenLimit = perMinute,
            TokensPerPeriod = together,
            ReplenishmentPeriod = each * together,
        });
    }
}
