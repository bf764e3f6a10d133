using System.Buffers;
using System.Text.Json;

namespace Sluice.Checkpoints.Configuration;

/// <summary>Files of one JSON object, indented for people.</summary>
internal static class JsonFile
{
    /// <summary>The bytes of a file whose object has the fields that <paramref name="write"/> writes.</summary>
    internal static byte[] Write(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }
}
