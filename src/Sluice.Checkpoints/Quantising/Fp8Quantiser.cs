using System.Diagnostics;
using System.Text.Json;
using Sluice.Checkpoints.Configuration;
using Sluice.Checkpoints.Gguf;
using Sluice.Checkpoints.Loading;
using Sluice.Checkpoints.Safetensors;
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

    private const string ScaleSuffix = "_scale_inv";

    /// <summary>Writes an FP8 copy of <paramref name="source"/> into <paramref name="folder"/>, which is made if need be.</summary>
    /// <param name="source">A folder, or a GGUF file, whose numbers are decoded and rounded a second time.</param>
    /// <param name="folder">Where; a checkpoint that is there is replaced.</param>
    /// <param name="text">Files of the tokenizer and the chat template by name, for a GGUF file; those of a folder are copied.</param>
    /// <param name="workers">Threads that encode; 0 for the default.</param>
    /// <param name="progress">Told after each tensor; bytes are those written, but a matrix's scales, which take as long as its elements, count as much.</param>
    /// <param name="cancellation">Gives up; nothing is left then.</param>
    /// <exception cref="CheckpointException">The source is FP8 already or not whole, a tensor cannot be copied, or the folder cannot be written.</exception>
    /// <exception cref="ConfigurationException">No config.json can say what a GGUF file's metadata does.</exception>
    public static void Quantise(
        Checkpoint source, string folder, IReadOnlyDictionary<string, byte[]>? text = null, int workers = 0, IProgress<LoadProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentOutOfRangeException.ThrowIfNegative(workers);
        if (source.Config.Fp8Block is not null)
            throw new CheckpointException($"{source.Location}: expected weights that are not FP8 already");
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = workers == 0 ? Loader.DefaultWorkers : workers, CancellationToken = cancellation };
        List<Content> contents = source is GgufCheckpoint ? OfFile(source, parallel) : OfFolder(source, parallel);
        contents.Sort((one, other) => string.CompareOrdinal(one.Tensor.Name, other.Tensor.Name));
        Dictionary<string, byte[]> files = FilesBeside(source, text);
        files["config.json"] = WithQuantisation(files["config.json"], contents.Select(content => content.Tensor));

        using FolderWriter writer = new(folder, contents.Select(content => content.Tensor));
        foreach ((string name, byte[] content) in files)
            writer.Write(name, content);
        var byName = contents.ToDictionary(content => content.Tensor.Name, StringComparer.Ordinal);
        long total = contents.Sum(content => content.Work);
        long start = Stopwatch.GetTimestamp();
        long done = 0;
        foreach (TensorInfo tensor in writer.Weights.Tensors)
        {
            cancellation.ThrowIfCancellationRequested();
            source.CheckUnchanged();
            Content content = byName[tensor.Name];
            content.Write(writer.Weights);
            done += content.Work;
            progress?.Report(new LoadProgress(done, total, Stopwatch.GetElapsedTime(start), tensor.Name));
        }

        writer.Complete();
    }

    /// <summary>The tensors of a folder: those that stay are copied as they are, known here or not.</summary>
    private static List<Content> OfFolder(Checkpoint source, ParallelOptions parallel)
    {
        List<Content> contents = [];
        foreach (TensorInfo tensor in source.Tensors)
        {
            if (tensor.Shape.Count == 2 && Floats.CanWiden(tensor.Type) && RandomWeights.IsQuantised(tensor.Name))
                AddQuantised(contents, new AssembledTensor(tensor.Name, tensor.Shape, null, [new StoredMatrix(source, tensor, tensor.Shape[0], tensor.Shape[1])]), parallel);
            else if (tensor.Type == DType.Other)
                throw new CheckpointException($"{tensor.Name}: {tensor.TypeName} cannot be copied");
            else
                contents.Add(new Content(new TensorDeclaration(tensor.Name, tensor.Type, tensor.Shape), writer => Copy(source, tensor, writer)));
        }

        return contents;
    }

    /// <summary>The tensors of a GGUF file, as a folder has them.</summary>
    private static List<Content> OfFile(Checkpoint source, ParallelOptions parallel)
    {
        List<Content> contents = [];
        foreach (AssembledTensor tensor in HuggingFaceTensors.Of(source))
        {
            if (RandomWeights.IsQuantised(tensor.Name))
            {
                AddQuantised(contents, tensor, parallel);
                continue;
            }

            DType type = HuggingFaceTensors.TypeOf(tensor, source.Config.WeightType);
            contents.Add(new Content(new TensorDeclaration(tensor.Name, type, tensor.Shape), writer => Write(tensor, type, writer)));
        }

        return contents;
    }

    private static void AddQuantised(List<Content> contents, AssembledTensor tensor, ParallelOptions parallel)
    {
        Fp8Matrix matrix = new(tensor, parallel);
        Content elements = new(new TensorDeclaration(tensor.Name, DType.F8E4M3, tensor.Shape), matrix.WriteElements);
        contents.Add(elements);
        contents.Add(new Content(new TensorDeclaration(tensor.Name + ScaleSuffix, DType.F32, matrix.ScaleShape), matrix.WriteScales) { Work = elements.Work });
    }

    private static bool IsUnquantisedModule(TensorDeclaration tensor) =>
        tensor.Type != DType.F8E4M3
        && tensor.Shape.Count >= 2
        && tensor.Name.EndsWith(".weight", StringComparison.Ordinal)
        && !tensor.Name.Contains("embed", StringComparison.Ordinal);

    private static void Copy(Checkpoint source, TensorInfo tensor, SafetensorsWriter writer)
    {
        const int Piece = 1 << 20;
        byte[] scratch = new byte[(int)Math.Min(Piece, tensor.ByteLength)];
        for (long offset = 0; offset < tensor.ByteLength; offset += Piece)
            writer.Write(source.Bytes(tensor, offset, (int)Math.Min(Piece, tensor.ByteLength - offset), scratch));
    }

    private static void Write(AssembledTensor tensor, DType type, SafetensorsWriter writer)
    {
        float[] values = new float[tensor.Columns];
        byte[] stored = new byte[type.RowBytes(tensor.Columns)];
        byte[] scratch = new byte[tensor.ScratchBytes];
        for (int row = 0; row < tensor.Rows; row++)
        {
            tensor.Decode(row, values, scratch);
            tensor.RequireUpTo(Floats.Largest(type), row, values);
            Floats.Narrow(type, values, stored);
            writer.Write(stored);
        }
    }

    /// <summary>What the result has besides weights, by name.</summary>
    private static Dictionary<string, byte[]> FilesBeside(Checkpoint source, IReadOnlyDictionary<string, byte[]>? text)
    {
        Dictionary<string, byte[]> files = new(text ?? new Dictionary<string, byte[]>(StringComparer.Ordinal), StringComparer.Ordinal);
        if (source is GgufCheckpoint)
        {
            files["config.json"] = ModelConfigWriter.Write(source.Config);
            if (!files["config.json"].AsSpan().SequenceEqual(ModelConfigWriter.Write(ModelConfigReader.Read(files["config.json"]))))
                throw new ConfigurationException($"{source.Location}: is of a model that no config.json describes");
            if (GenerationDefaultsWriter.Write(source.Generation, source.Config.EndOfText) is { } generation)
                files["generation_config.json"] = generation;
            return files;
        }

        foreach (string name in FolderWriter.TextFiles.Append("config.json"))
        {
            string path = Path.Combine(source.Location, name);
            if (!File.Exists(path))
                continue;
            try
            {
                files.TryAdd(name, File.ReadAllBytes(path));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new CheckpointException(e.Message, inner: e);
            }
        }

        return files;
    }

    /// <summary>The configuration with a <c>quantization_config</c> at its end.</summary>
    private static byte[] WithQuantisation(byte[] configuration, IEnumerable<TensorDeclaration> tensors)
    {
        using JsonDocument config = JsonDocument.Parse(configuration);
        IEnumerable<string> kept = tensors.Where(IsUnquantisedModule).Select(tensor => tensor.Name[..^".weight".Length]).Order(StringComparer.Ordinal);
        return JsonFile.Write(json =>
        {
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
        });
    }

    /// <summary>A tensor of the result.</summary>
    private sealed record Content(TensorDeclaration Tensor, Action<SafetensorsWriter> Write)
    {
        /// <summary>What it counts for in progress.</summary>
        public long Work { get; init; } = Tensor.ByteLength;
    }
}
