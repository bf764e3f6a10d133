using System.Net;
using Sluice.Core;

namespace Sluice.Server;

/// <summary>Where the server listens and what it puts up with. Values are checked when they are set.</summary>
public sealed record ServerOptions
{
    /// <summary>Address to listen on. Default loopback: only this machine.</summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>Port to listen on; 0 takes a free one. Default 8080.</summary>
    public int Port { get; init => field = InRange(value, 0, 65535, nameof(Port)); } = 8080;

    /// <summary>Largest request body, bytes; a larger one is answered 413. Default 16 MiB.</summary>
    public int MaxBodyBytes { get; init => field = InRange(value, 1, int.MaxValue, nameof(MaxBodyBytes)); } = 16 << 20;

    /// <summary>How long a stopping server lets requests finish before it cancels them. Default 30 seconds.</summary>
    public TimeSpan ShutdownTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How often a stream that has nothing to say sends a comment, so that nobody on the way gives it up. Default 15 seconds.</summary>
    public TimeSpan KeepAliveInterval { get; init; } = TimeSpan.FromSeconds(15);

    private static int InRange(int value, int low, int high, string name) => value >= low && value <= high
        ? value
        : throw new ConfigurationException($"{name} must be from {low} to {high}, found {value}");
}
