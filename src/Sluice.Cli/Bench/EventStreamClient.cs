using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Sluice.Cli.Bench;

/// <summary>
/// A client of streams that does as little as one can: it notes when bytes come, so that what is
/// measured is the server. It waits in its thread, because in the thread pool it would stand in line with the server's own work.
/// </summary>
internal sealed class EventStreamClient : IDisposable
{
    private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly byte[] _buffer = new byte[64 << 10];

    private EventStreamClient()
    {
    }

    public static EventStreamClient Connect(IPEndPoint address)
    {
        var client = new EventStreamClient();
        client._socket.Connect(address);
        return client;
    }

    /// <summary>Posts and reads to the end. The connection stays for the next.</summary>
    /// <returns>The request's id, and when the second event, which has the first text, and the end were here.</returns>
    /// <exception cref="InvalidDataException">The answer is no stream, or no whole one.</exception>
    public (string Id, long First, long Last) Post(string path, string body)
    {
        string head = $"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n";
        _ = _socket.Send(Encoding.UTF8.GetBytes(head + body));
        var answer = new Answer();
        int kept = 0;
        while (answer.End == 0)
        {
            int read = _socket.Receive(_buffer.AsSpan(kept));
            if (read == 0)
                throw new InvalidDataException("the server closed the connection within an answer");
            Span<byte> bytes = _buffer.AsSpan(0, kept + read);
            Span<byte> rest = bytes[answer.Take(bytes)..];
            rest.CopyTo(_buffer);
            kept = rest.Length;
        }

        return (answer.Id ?? throw new InvalidDataException("the answer has no x-request-id"), answer.First, answer.End);
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    /// <summary>An answer as it comes, line by line: those of HTTP and those of the events need not be told apart.</summary>
    private struct Answer
    {
        private int _events;
        private bool _isDone;
        private bool _isBegun;

        public string? Id { get; private set; }

        public long First { get; private set; }

        public long End { get; private set; }

        /// <summary>Reads whole lines, and returns how many bytes these were.</summary>
        public int Take(ReadOnlySpan<byte> bytes)
        {
            int taken = 0;
            for (int length = bytes.IndexOf((byte)'\n'); length >= 0; length = bytes[taken..].IndexOf((byte)'\n'))
            {
                TakeLine(bytes.Slice(taken, length));
                taken += length + 1;
            }

            return taken;
        }

        private void TakeLine(ReadOnlySpan<byte> line)
        {
            if (!_isBegun && !line.StartsWith("HTTP/1.1 200"u8))
                throw new InvalidDataException($"expected 200, found {Encoding.UTF8.GetString(line)}");
            _isBegun = true;
            if (line.StartsWith("x-request-id: "u8))
                Id = Encoding.ASCII.GetString(line["x-request-id: "u8.Length..].TrimEnd((byte)'\r'));
            else if (line.SequenceEqual("data: [DONE]"u8))
                _isDone = true;
            else if (line.StartsWith("data: "u8) && ++_events == 2)
                First = Stopwatch.GetTimestamp();
            else if (_isDone && line.SequenceEqual("0\r"u8))
                End = Stopwatch.GetTimestamp();
        }
    }
}
