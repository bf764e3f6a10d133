using System.Diagnostics;
using Sluice.Checkpoints.Gguf;
using Sluice.Checkpoints.Loading;
using Sluice.Core;

namespace Sluice.Checkpoints.Quantising;

/// <summary>Writes a checkpoint, of either kind, as one GGUF file: names, values and orders as llama.cpp expects them, types as a <see cref="GgufMix"/> says.</summary>
public static class GgufQuantiser
{
    private const int PieceBytes = 4 << 20;

    /// <summary>Writes the file; it appears under its name only when it is complete.</summary>
    /// <param name="source">What to write.</param>
    /// <param name="path">Where.</param>
    /// <param name="mix">In which types.</param>
    /// <param name="text">Its tokenizer and chat template; null for a file without.</param>
    /// <param name="predictionHead">Whether to write the multi-token prediction head, as the last block, if there is one: older programs refuse such files.</param>
    /// <param name="workers">Threads that encode; 0 for the default.</param>
    /// <param name="progress">Told after each piece; bytes are those written.</param>
    /// <param name="cancellation">Gives up between pieces.</param>
    /// <exception cref="CheckpointException">The source is not whole, or has a number that cannot be stored.</exception>
    public static void Write(
        Checkpoint source, string path, GgufMix mix, GgufText? text = null, bool predictionHead = false, int workers = 0, IProgress<LoadProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentOutOfRangeException.ThrowIfNegative(workers);
        (List<AssembledTensor> tensors, int blocks) = GgufModelTensors.Of(source, predictionHead);
        TensorDeclaration[] declared = [.. tensors.Select(tensor => new TensorDeclaration(tensor.Name, TypeOf(tensor, mix, blocks, source.Config), tensor.Shape))];
        using GgufWriter writer = GgufWriter.Create(path, Metadata(source, mix, text, blocks, declared), declared);
        long total = declared.Sum(tensor => tensor.ByteLength);
        long start = Stopwatch.GetTimestamp();
        long written = 0;
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = workers == 0 ? Loader.DefaultWorkers : workers, CancellationToken = cancellation };
        for (int i = 0; i < tensors.Count; i++)
        {
            source.CheckUnchanged();
            int rowBytes = declared[i].Type.RowBytes(tensors[i].Columns);
            int rowsAtOnce = Math.Clamp(PieceBytes / rowBytes, 1, tensors[i].Rows);
            byte[] piece = new byte[checked(rowsAtOnce * rowBytes)];
            for (int first = 0; first < tensors[i].Rows; first += rowsAtOnce)
            {
                int rows = Math.Min(rowsAtOnce, tensors[i].Rows - first);
                Encode(tensors[i], declared[i].Type, first, piece.AsMemory(0, rows * rowBytes), parallel);
                writer.Write(piece.AsSpan(0, rows * rowBytes));
                written += rows * (long)rowBytes;
                progress?.Report(new LoadProgress(written, total, Stopwatch.GetElapsedTime(start), tensors[i].Name));
            }
        }

        writer.Complete();
    }

    private static DType TypeOf(AssembledTensor tensor, GgufMix mix, int blocks, ModelConfig config) =>
        tensor.Numbers is not null ? DType.F32 : GgufMixes.TypeOf(mix, tensor.Name, tensor.Columns, blocks, config.TiedEmbeddings);

    private static GgufMetadataBuilder Metadata(Checkpoint source, GgufMix mix, GgufText? text, int blocks, TensorDeclaration[] tensors)
    {
        GgufMetadataBuilder metadata = new GgufMetadataBuilder()
            .Add("general.architecture", GgufModelMetadata.NameOf(source.Config.Architecture))
            .Add("general.type", "model")
            .Add("general.name", (source as GgufCheckpoint)?.Metadata.Text("general.name") ?? Path.GetFileNameWithoutExtension(Path.TrimEndingDirectorySeparator(source.Location)))
            .Add("general.file_type", GgufMixes.FileType(mix));
        if (tensors.Any(tensor => tensor.Type.IsBlocked()))
            metadata.Add("general.quantization_version", 2u);
        GgufModelMetadata.Add(metadata, source.Config, blocks);
        GgufModelMetadata.Add(metadata, source.Generation);
        if (text is not null)
            GgufModelMetadata.Add(metadata, WithEnd(text, source.Config));
        else
            metadata.Add(GgufKeys.TokenizerModel, GgufKeys.NoTokenizer); // llama.cpp takes models without a vocabulary that say so
        return metadata;
    }

    /// <summary>A text without an end of its own ends where the configuration says.</summary>
    private static GgufText WithEnd(GgufText text, ModelConfig config) => text.SpecialTokens.ContainsKey("eos_token") || config.EndOfText.Count == 0
        ? text
        : text with { SpecialTokens = new Dictionary<string, int>(text.SpecialTokens, StringComparer.Ordinal) { ["eos_token"] = config.EndOfText[0] } };

    private static void Encode(AssembledTensor tensor, DType type, int first, Memory<byte> piece, ParallelOptions parallel)
    {
        int rowBytes = type.RowBytes(tensor.Columns);
        float largest = type.IsBlocked() ? BlockEncoder.Largest : Floats.Largest(type);
        ParallelRows.Run(
            piece.Length / rowBytes, parallel, () => (Values: new float[tensor.Columns], Scratch: new byte[tensor.ScratchBytes]),
            (row, buffers) =>
            {
                Span<byte> stored = piece.Span.Slice(row * rowBytes, rowBytes);
                ReadOnlySpan<byte> same = tensor.StoredRow(first + row, type, buffers.Scratch);
                if (same.Length > 0)
                {
                    same.CopyTo(stored);
                    return;
                }

                tensor.Decode(first + row, buffers.Values, buffers.Scratch);
                tensor.RequireUpTo(largest, first + row, buffers.Values);
                Encode(type, buffers.Values, stored);
            });
    }

    private static void Encode(DType type, ReadOnlySpan<float> values, Span<byte> stored)
    {
        if (type.IsBlocked())
            BlockEncoder.Encode(type, values, stored);
        else
            Floats.Narrow(type, values, stored);
    }
}
