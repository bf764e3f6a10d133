using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using Sluice.Core;

namespace Sluice.Checkpoints.Quantising;

/// <summary>
/// Stores a checkpoint's large projections as E4M3 with a float32 scale for each block of 128 by 128: scale = largest magnitude / 448,
/// element = round(weight / scale), nearest even. Routers, gates, embeddings, norms and the output head stay as they are.
/// This is the format of published FP8 checkpoints (<c>quant_method: fp8</c>).
/// </summary>
public static class Fp8Quantiser
{
    /// <summary>Rows and columns that share a scale.</summary>
    public const int Block = 128;

    private const float LargestStored = 448f;
    private const float SmallestMagnitude = 1e-12f; // a block of zeros needs some scale

    private static readonly string[] CopiedFiles =
        ["generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "vocab.json", "merges.txt"];

    /// <summary>Writes an FP8 copy of <paramref name="source"/>, a folder, into <paramref name="folder"/>, which is made if need be.</summary>
    /// <exception cref="CheckpointException">The source is quantised already, or a tensor cannot be copied.</exception>
    public static void Quantise(Checkpoint source, string folder, IProgress<LoadProgress>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        if (source.Config.Fp8Block is not null)
            throw new CheckpointException($"{source.Location}: expected weights that are not quantised, found FP8");
        if (!Directory.Exists(source.Location))
            throw new CheckpointException($"{source.Location}: FP8 is made of a folder of safetensors; a GGUF file is quantised already");
        Directory.CreateDirectory(folder);
        List<TensorDeclaration> tensors = [];
        Dictionary<string, Action<SafetensorsWriter>> contents = new(StringComparer.Ordinal);
        List<string> kept = [];
        foreach (TensorInfo tensor in source.Tensors.OrderBy(tensor => tensor.Name, StringComparer.Ordinal))
        {
            if (tensor.Shape.Count == 2 && Floats.CanWiden(tensor.Type) && RandomWeights.IsQuantised(tensor.Name))
            {
                Fp8Matrix matrix = new(source, tensor);
                Declare(tensor.Name, DType.F8E4M3, tensor.Shape, matrix.WriteElements);
                Declare(tensor.Name + "_scale_inv", DType.F32, matrix.ScaleShape, matrix.WriteScales);
                continue;
            }

            if (tensor.Type == DType.Other)
                throw new CheckpointException($"{tensor.Name}: {tensor.TypeName} cannot be copied");
            Declare(tensor.Name, tensor.Type, tensor.Shape, writer => Copy(source, tensor, writer));
            if (IsUnquantisedModule(tensor))
                kept.Add(tensor.Name[..^".weight".Length]);
        }

        using (SafetensorsWriter writer = SafetensorsWriter.Create(
            Path.Combine(folder, "model.safetensors"), tensors, new Dictionary<string, string>(StringComparer.Ordinal) { ["format"] = "pt" }))
        {
            long start = Stopwatch.GetTimestamp();
            long written = 0;
            long total = writer.Tensors.Sum(tensor => tensor.ByteLength);
            foreach (TensorInfo tensor in writer.Tensors)
            {
                cancellation.ThrowIfCancellationRequested();
                contents[tensor.Name](writer);
                written += tensor.ByteLength;
                progress?.Report(new LoadProgress(written, total, Stopwatch.GetElapsedTime(start), tensor.Name));
            }

            writer.Complete();
        }

        foreach (string name in CopiedFiles)
        {
            if (File.Exists(Path.Combine(source.Location, name)))
                File.Copy(Path.Combine(source.Location, name), Path.Combine(folder, name), overwrite: true);
        }

        kept.Sort(StringComparer.Ordinal);
        File.WriteAllBytes(Path.Combine(folder, "config.json"), WithQuantisation(Path.Combine(source.Location, "config.json"), kept));

        void Declare(string name, DType type, IReadOnlyList<int> shape, Action<SafetensorsWriter> write)
        {
            tensors.Add(new TensorDeclaration(name, type, shape));
            contents.Add(name, write);
        }
    }

    private static bool IsUnquantisedModule(TensorInfo tensor) =>
        tensor.Shape.Count >= 2
        && tensor.Name.EndsWith(".weight", StringComparison.Ordinal)
        && !tensor.Name.Contains("embed", StringComparison.Ordinal);

    private static void Copy(Checkpoint source, TensorInfo tensor, SafetensorsWriter writer)
    {
        const int Piece = 1 << 20;
        byte[] scratch = new byte[(int)Math.Min(Piece, tensor.ByteLength)];
        for (long offset = 0; offset < tensor.ByteLength; offset += Piece)
            writer.Write(source.Bytes(tensor, offset, (int)Math.Min(Piece, tensor.ByteLength - offset), scratch));
    }

    /// <summary>The configuration with a <c>quantization_config</c> at its end.</summary>
    private static byte[] WithQuantisation(string path, List<string> kept)
    {
        using JsonDocument config = JsonDocument.Parse(File.ReadAllBytes(path));
        using MemoryStream bytes = new();
        using (Utf8JsonWriter json = new(bytes, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            foreach (JsonProperty field in config.RootElement.EnumerateObject())
                field.WriteTo(json);
            json.WriteStartObject("quantization_config");
            json.WriteString("activation_scheme", "dynamic");
            json.WriteString("fmt", "e4m3");
            json.WriteString("quant_method", "fp8");
            json.WriteStartArray("weight_block_size");
            json.WriteNumberValue(Block);
            json.WriteNumberValue(Block);
            json.WriteEndArray();
            json.WriteStartArray("modules_to_not_convert");
            foreach (string module in kept)
                json.WriteStringValue(module);
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndObject();
        }

        return bytes.ToArray();
    }

    /// <summary>One matrix, quantised a band of <see cref="Block"/> rows at a time.</summary>
    private sealed class Fp8Matrix(Checkpoint source, TensorInfo tensor)
    {
        private readonly int _rows = tensor.Shape[0];
        private readonly int _columns = tensor.Shape[1];

        public int[] ScaleShape => [(_rows + Block - 1) / Block, (_columns + Block - 1) / Block];

        public void WriteScales(SafetensorsWriter writer) => EachBand((band, scales) => writer.Write(MemoryMarshal.AsBytes<float>(scales)));

        public void WriteElements(SafetensorsWriter writer)
        {
            byte[] row = new byte[_columns];
            EachBand((band, scales) =>
            {
                for (int start = 0; start < band.Length; start += _columns)
                {
                    for (int c = 0; c < _columns; c++)
                        row[c] = StoredNumbers.ToF8E4M3(band[start + c] / scales[c / Block]);
                    writer.Write(row);
                }
            });
        }

        /// <summary>Hands out bands [up to <see cref="Block"/>, columns] with the scales of their blocks.</summary>
        private void EachBand(Action<float[], float[]> use)
        {
            int rowBytes = checked(_columns * tensor.Type.Size());
            byte[] scratch = new byte[rowBytes];
            for (int first = 0; first < _rows; first += Block)
            {
                float[] band = new float[Math.Min(Block, _rows - first) * _columns];
                float[] scales = new float[ScaleShape[1]];
                for (int row = 0; row * _columns < band.Length; row++)
                {
                    Span<float> values = band.AsSpan(row * _columns, _columns);
                    StoredNumbers.Decode(tensor.Type, source.Bytes(tensor, (long)(first + row) * rowBytes, rowBytes, scratch), values);
                    for (int c = 0; c < _columns; c++)
                    {
                        if (!float.IsFinite(values[c]))
                            throw new CheckpointException($"{tensor.Name}: element [{first + row}, {c}] is {values[c]}; expected a finite number");
                        scales[c / Block] = Math.Max(scales[c / Block], Math.Abs(values[c]));
                    }
                }

                for (int b = 0; b < scales.Length; b++)
                    scales[b] = Math.Max(scales[b], SmallestMagnitude) / LargestStored;
                use(band, scales);
            }
        }
    }
}
