using System.Net.Sockets;
using System.Text;

namespace Sluice.Server.Tests;

/// <summary>A client that sends exactly the bytes it is told to, which no well-behaved client would.</summary>
internal sealed class RawClient : IDisposable
{
    private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp);

    private RawClient()
    {
    }

    public static async Task<RawClient> ConnectAsync(TestServer server, int? receiveBuffer = null)
    {
        var client = new RawClient();
        if (receiveBuffer is { } size)
            client._socket.ReceiveBufferSize = size;
        await client._socket.ConnectAsync(server.Address.Host, server.Address.Port);
        return client;
    }

    /// <summary>Sends one request and reads until the server closes, or the patience is over.</summary>
    public static async Task<string> SendAsync(TestServer server, string request, int patienceMs = 5000)
    {
        using RawClient client = await ConnectAsync(server);
        await client.WriteAsync(request);
        return await client.ReadAsync(patienceMs);
    }

    /// <summary>The status of a response to one request.</summary>
    public static async Task<int> StatusAsync(TestServer server, string request)
    {
        string response = await SendAsync(server, request);
        Assert.True(response.StartsWith("HTTP/1.1 ", StringComparison.Ordinal), $"no response to {request[..Math.Min(request.Length, 200)]}: {response}");
        return int.Parse(response.AsSpan(9, 3), System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>Sends bytes; a server that closes meanwhile is no error.</summary>
    public async Task<bool> WriteAsync(string text)
    {
        try
        {
            await _socket.SendAsync(Encoding.Latin1.GetBytes(text));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>Reads until the server closes or the time is over.</summary>
    public async Task<string> ReadAsync(int patienceMs)
    {
        var text = new StringBuilder();
        var buffer = new byte[64 << 10];
        using var patience = new CancellationTokenSource(patienceMs);
        try
        {
            while (await _socket.ReceiveAsync(buffer, patience.Token) is > 0 and int count)
                text.Append(Encoding.UTF8.GetString(buffer, 0, count));
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
        }

        return text.ToString();
    }

    public void Dispose() => _socket.Dispose();
}
