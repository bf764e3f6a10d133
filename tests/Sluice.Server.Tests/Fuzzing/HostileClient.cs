using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Sluice.Server.Tests.Fuzzing;

/// <summary>How a connection ends before its answer has.</summary>
internal enum Farewell
{
    /// <summary>A reset: what either side still had to say is lost.</summary>
    Reset,

    /// <summary>An ordinary close, whatever has come and not been read.</summary>
    Close,

    /// <summary>The client says that it will send no more, and goes on reading to the end.</summary>
    HalfClose,

    /// <summary>The client neither sends nor reads, until the server has had enough of it or for a while.</summary>
    Stall,
}

/// <summary>One client that leaves at a random moment of one request: while it sends headers or body, before the answer, in it, after it.</summary>
internal sealed class HostileClient
{
    private static readonly string[] Texts = ["hi", "A text of some length, so that its stream has some tokens, one after the other.", "#endless", "#free"];
    private static readonly (string Path, Func<string, bool, int, string> Body)[] Requests =
    [
        ("/v1/chat/completions", static (text, stream, most) => $$"""{"messages":[{"role":"user","content":"{{text}}"}],"max_tokens":{{most}},"stream":{{Word(stream)}}}"""),
        ("/v1/chat/completions", static (text, stream, most) => $$"""{"messages":[{"role":"user","content":"{{text}}"}],"max_tokens":{{most}},"n":3,"stream":{{Word(stream)}}}"""),
        ("/v1/chat/completions", static (text, stream, most) => $$"""{"messages":[{"role":"user","content":"{{text}}"}],"max_tokens":{{most}},"logprobs":true,"top_logprobs":20,"stream":{{Word(stream)}}}"""),
        ("/v1/completions", static (text, stream, most) => $$"""{"prompt":"{{text}}","max_tokens":{{most}},"stream":{{Word(stream)}}}"""),
        ("/v1/responses", static (text, stream, most) => $$"""{"input":"{{text}}","max_output_tokens":{{most}},"stream":{{Word(stream)}}}"""),
        ("/v1/messages", static (text, stream, most) => $$"""{"max_tokens":{{most}},"messages":[{"role":"user","content":"{{text}}"}],"stream":{{Word(stream)}}}"""),
        ("/api/chat", static (text, stream, most) => $$"""{"model":"echo","messages":[{"role":"user","content":"{{text}}"}],"options":{"num_predict":{{most}}},"stream":{{Word(stream)}}}"""),
        ("/api/generate", static (text, stream, most) => $$"""{"model":"echo","prompt":"{{text}}","options":{"num_predict":{{most}}},"stream":{{Word(stream)}}}"""),
    ];

    private readonly IPEndPoint _server;
    private readonly Random _random;
    private readonly byte[] _buffer = new byte[16 << 10];

    public HostileClient(Uri server, int seed)
    {
        _server = new IPEndPoint(IPAddress.Parse(server.Host), server.Port);
        _random = new Random(seed);
    }

    /// <summary>Longest that a client that half-closed or stalls waits for the server.</summary>
    public static TimeSpan Patience { get; } = TimeSpan.FromSeconds(15);

    /// <summary>Attacks once. Whatever the server does to the connection is no error; that it does nothing for too long is.</summary>
    /// <returns>What was done; and whether any of an answer was seen.</returns>
    /// <exception cref="TimeoutException">The server kept a connection that it should have ended.</exception>
    public async Task<(Farewell Farewell, bool Answered)> AttackAsync()
    {
        Farewell farewell = OneIn(400) ? Farewell.Stall : (Farewell)_random.Next(3);
        byte[] request = NextRequest(out int headers);
        int sent = _random.Next(5) switch
        {
            0 => _random.Next(headers),
            1 => headers + _random.Next(request.Length - headers),
            _ => request.Length,
        };
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        if (OneIn(4))
            socket.ReceiveBufferSize = 4096;
        bool answered = false;
        try
        {
            await socket.ConnectAsync(_server);
            await SendAsync(socket, request.AsMemory(0, sent));
            if (sent == request.Length)
                answered = await ReadSomeAsync(socket);
            await LeaveAsync(socket, farewell);
        }
        catch (SocketException)
        {
            // The server was quicker.
        }

        return (farewell, answered);
    }

    private static string Word(bool value) => value ? "true" : "false";

    private bool OneIn(int times) => _random.Next(times) == 0;

    private byte[] NextRequest(out int headers)
    {
        (string path, Func<string, bool, int, string> body) = Requests[_random.Next(Requests.Length)];
        byte[] content = Encoding.UTF8.GetBytes(body(Texts[_random.Next(Texts.Length)], !OneIn(3), OneIn(4) ? 200 : _random.Next(1, 40)));
        string framing = OneIn(4) ? "Transfer-Encoding: chunked" : $"Content-Length: {content.Length}";
        if (framing[0] == 'T')
            content = [.. Encoding.ASCII.GetBytes($"{content.Length:x}\r\n"), .. content, .. "\r\n0\r\n\r\n"u8];
        byte[] head = Encoding.ASCII.GetBytes($"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{framing}\r\n\r\n");
        headers = head.Length;
        byte[] whole = [.. head, .. content];

        // A second request behind the first waits for it, and goes with it.
        return OneIn(10) ? [.. whole, .. whole] : whole;
    }

    // At once, or as a slow writer does: in pieces with time between.
    private async Task SendAsync(Socket socket, ReadOnlyMemory<byte> bytes)
    {
        int pieces = OneIn(5) ? _random.Next(2, 6) : 1;
        while (!bytes.IsEmpty)
        {
            int length = pieces-- <= 1 ? bytes.Length : _random.Next(1, bytes.Length + 1);
            await socket.SendAsync(bytes[..length]);
            bytes = bytes[length..];
            if (!bytes.IsEmpty)
                await Task.Delay(_random.Next(1, 10));
        }
    }

    // Nothing, a little, all there is so far, or as a slow reader does.
    private async Task<bool> ReadSomeAsync(Socket socket)
    {
        if (OneIn(4))
            return false;
        if (OneIn(3))
            await Task.Delay(_random.Next(1, 10));
        int reads = _random.Next(1, 12);
        bool isSlow = OneIn(5), answered = false;
        using var patience = new CancellationTokenSource(_random.Next(1, 100));
        try
        {
            for (; reads > 0; reads--)
            {
                if (await socket.ReceiveAsync(_buffer.AsMemory(0, isSlow ? 64 : _buffer.Length), patience.Token) == 0)
                    return answered;
                answered = true;
                if (isSlow)
                    await Task.Delay(_random.Next(1, 10));
            }
        }
        catch (OperationCanceledException)
        {
        }

        return answered;
    }

    private async Task LeaveAsync(Socket socket, Farewell farewell)
    {
        switch (farewell)
        {
            case Farewell.Reset:
                socket.LingerState = new LingerOption(true, 0);
                break;
            case Farewell.HalfClose:
                socket.Shutdown(SocketShutdown.Send);
                await ReadToEndAsync(socket);
                break;
            case Farewell.Stall:
                await Task.Delay(_random.Next(100, 1500));
                if (OneIn(2))
                    await ReadToEndAsync(socket, mayStayOpen: true);
                break;
        }
    }

    private async Task ReadToEndAsync(Socket socket, bool mayStayOpen = false)
    {
        using var patience = new CancellationTokenSource(mayStayOpen ? TimeSpan.FromMilliseconds(500) : Patience);
        try
        {
            while (await socket.ReceiveAsync(_buffer, patience.Token) > 0)
            {
            }
        }
        catch (OperationCanceledException) when (mayStayOpen)
        {
        }
        catch (OperationCanceledException e)
        {
            throw new TimeoutException("the server kept a connection whose client had said that nothing more would come", e);
        }
    }
}
