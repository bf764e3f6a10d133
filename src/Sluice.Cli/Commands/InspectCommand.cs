using System.CommandLine;
using System.Globalization;
using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Cli.Terminal;
using Sluice.Core;
using Sluice.Cpu;
using Sluice.Engine;
using Sluice.Memory;
using Sluice.Models;
using Spectre.Console;

namespace Sluice.Cli.Commands;

/// <summary><c>sluice inspect</c>: what a checkpoint is and what it needs, without loading it.</summary>
internal static class InspectCommand
{
    // Code, the runtime's heap and its tables, tokenizer: measured, and much the same for all models.
    private const long ProgramBytes = 120L << 20;

    private static readonly int[] Lengths = [4_096, 32_768, 131_072];

    public static Command Create()
    {
        Argument<string?> folder = new("PATH") { Arity = ArgumentArity.ZeroOrOne, Description = "Model folder or GGUF file, or a config.json alone. Default: the demonstration model." };
        Option<KvDtype> kvDtype = CommonOptions.KvDtype();
        Option<long> memory = CommonOptions.Memory();
        Command command = new("inspect", "Show a model's architecture, size and memory.") { folder, kvDtype, memory };
        command.SetAction(parsed =>
        {
            string? path = parsed.GetValue(folder);
            CpuOptions options = new() { Threads = 1, KvDtype = parsed.GetValue(kvDtype) };
            long cacheBytes = parsed.GetValue(memory);
            if (path is not null && Path.GetExtension(path).Equals(".json", StringComparison.OrdinalIgnoreCase) && File.Exists(path))
            {
                Print(Path.GetFullPath(path), ModelConfigReader.Read(File.ReadAllBytes(path)), null, options, cacheBytes);
                return ExitCodes.Success;
            }

            using Checkpoint checkpoint = Checkpoint.Open(ModelPath.Resolve(path));
            Print(checkpoint.Location, checkpoint.Config, checkpoint, options, cacheBytes);
            return ExitCodes.Success;
        });
        return command;
    }

    private static void Print(string name, ModelConfig config, Checkpoint? checkpoint, CpuOptions options, long cacheBytes)
    {
        ModelFootprint footprint = checkpoint is null ? new(config) : ModelFootprint.Of(checkpoint);
        long available = SystemMemory.AvailableBytes();
        bool asked = cacheBytes > 0;
        if (!asked)
            cacheBytes = CacheBudget.Default(available - footprint.WeightBytes);
        AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"[bold]{name}[/]");
        AnsiConsole.Write(Facts(config, footprint, checkpoint, options, cacheBytes));
        AnsiConsole.Write(WeightTable(footprint));
        if (checkpoint is not null)
            AnsiConsole.Write(TypeTable(checkpoint));
        string free = ByteSize.Format(available);
        string title = asked ? $"{free} free, {ByteSize.Format(cacheBytes)} asked for KV and states"
            : cacheBytes == 0 ? $"{free} free: the weights do not fit"
            : $"{free} free, {ByteSize.Format(cacheBytes)} of it for KV and states by default";
        AnsiConsole.Write(CapacityTable(config, footprint, options.ResolvedKvDtype, cacheBytes).Title(title));
    }

    private static Grid Facts(ModelConfig config, ModelFootprint footprint, Checkpoint? checkpoint, CpuOptions options, long cacheBytes)
    {
        int attention = config.Layers.Count(kind => kind == LayerKind.FullAttention);
        Grid grid = new Grid().AddColumn(new GridColumn().NoWrap()).AddColumn();
        Row("architecture", $"{config.ModelType}, hidden {config.HiddenSize}, vocabulary {N(config.VocabularySize)}, up to {N(config.MaxPositions)} tokens");
        Row("layers", $"{config.LayerCount}: {config.LayerCount - attention} gated DeltaNet, {attention} full attention");
        Row("attention", $"{config.Attention.QueryHeads} query / {config.Attention.KvHeads} KV heads of {config.Attention.HeadDim}, rotary on {config.Attention.RotaryDim}, theta {config.Attention.RopeTheta.ToString("G", CultureInfo.InvariantCulture)}");
        if (config.LinearAttention is { } linear)
            Row("DeltaNet", $"{linear.KeyHeads} key heads of {linear.KeyDim}, {linear.ValueHeads} value heads of {linear.ValueDim}, convolution of {linear.ConvKernel}");
        if (config.Moe is { } moe)
            Row("experts", $"{moe.Experts}, top {moe.TopK}, width {moe.IntermediateSize}, shared {moe.SharedIntermediateSize}, in {config.SparseLayers.Count(sparse => sparse)} layers");
        if (config.IntermediateSize > 0 && config.SparseLayers.Contains(false))
            Row("dense", $"width {config.IntermediateSize}, in {config.SparseLayers.Count(sparse => !sparse)} layers");
        Row("parameters", $"{Count(footprint.Parameters)}, {Count(footprint.ActiveParameters)} active for a token");
        Row("weights", string.Create(CultureInfo.InvariantCulture, $"{ByteSize.Format(footprint.WeightBytes)}, {8.0 * footprint.WeightBytes / footprint.Parameters:F2} bits a weight, {ByteSize.Format(footprint.DecodeWeightBytes)} read for a decoded token"));
        Row("KV cache", $"{ByteSize.Format(footprint.KvBytesPerToken(KvDtype.Float32))} a token in float32, {ByteSize.Format(footprint.KvBytesPerToken(KvDtype.BF16))} in bf16, {ByteSize.Format(footprint.KvBytesPerToken(KvDtype.Int8))} in int8");
        Row("state", $"{ByteSize.Format(footprint.StateBytes + footprint.ConvStateBytes(DType.F32))} a sequence, however long");
        if (checkpoint is not null)
        {
            using CpuBackend backend = new(options);
            string packed = ByteSize.Format(LanguageModel.WeightBytes(checkpoint, backend));
            int stepTokens = StepSize.Alone(config);
            string activations = ByteSize.Format(footprint.ActivationBytes(stepTokens, ServeCommand.DefaultSequences) + CpuBackend.ScratchBytes(config, stepTokens));
            string ready = ByteSize.Format(CpuBackend.ReadyBytes(backend.GeometryOf(CacheShape.Of(config)), cacheBytes));
            Row("on the CPU", $"{packed} packed, up to {activations} of activations, up to {ready} kept ready for KV and states, about {ByteSize.Format(ProgramBytes)} for the program; KV and states in use besides");
            bool mtp = checkpoint.Names.Any(tensor => tensor.StartsWith("mtp.", StringComparison.Ordinal));
            Row("files", $"{checkpoint.Files.Count}, {ByteSize.Format(checkpoint.ByteLength)}, {N(checkpoint.Names.Count)} tensors{(mtp ? ", with a multi-token prediction head (not used yet)" : "")}");
        }

        return grid;

        void Row(string label, string text) => grid.AddRow($"[grey]{label}[/]", Markup.Escape(text));
    }

    private static Table WeightTable(ModelFootprint footprint)
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumn("weights").AddColumn("type")
            .AddColumn("parameters", c => c.RightAligned()).AddColumn("bytes", c => c.RightAligned()).AddColumn("active", c => c.RightAligned());
        foreach (WeightGroup group in footprint.Weights)
            table.AddRow(Words(group.Role.ToString()), group.Type.ToString(), Count(group.Parameters), ByteSize.Format(group.Bytes), ByteSize.Format(group.ActiveBytes));
        return table;
    }

    /// <summary>Tensors by the type they are stored in; experts, which files may hold one by one or together, count one by one.</summary>
    private static Table TypeTable(Checkpoint checkpoint)
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumn("stored as")
            .AddColumn("tensors", c => c.RightAligned()).AddColumn("bytes", c => c.RightAligned());
        foreach (IGrouping<string, TensorInfo> type in checkpoint.Tensors.GroupBy(tensor => tensor.TypeName, StringComparer.Ordinal).OrderByDescending(group => group.Sum(tensor => tensor.ByteLength)))
            table.AddRow(Markup.Escape(type.Key), N(type.Count()), ByteSize.Format(type.Sum(tensor => tensor.ByteLength)));
        return table;
    }

    private static Table CapacityTable(ModelConfig config, ModelFootprint footprint, KvDtype kv, long cacheBytes)
    {
        Table table = new Table().Border(TableBorder.Simple)
            .AddColumn($"sequences of, keys and values in {Devices.Word(kv)}", c => c.RightAligned()).AddColumn("each", c => c.RightAligned()).AddColumn("fit", c => c.RightAligned());
        foreach (int length in Lengths.Where(length => length < config.MaxPositions).Append(config.MaxPositions))
        {
            long pages = (length + KvCache.PageTokens - 1) / KvCache.PageTokens;
            long each = (pages * KvCache.PageTokens * footprint.KvBytesPerToken(kv)) + footprint.StateBytes + footprint.ConvStateBytes(DType.F32);
            table.AddRow($"{N(length)} tokens", ByteSize.Format(each), N(cacheBytes / Math.Max(1, each)));
        }

        return table;
    }

    private static string N(long value) => value.ToString("N0", CultureInfo.InvariantCulture);

    private static string Count(long parameters) => parameters switch
    {
        >= 1_000_000_000 => string.Create(CultureInfo.InvariantCulture, $"{parameters / 1e9:F2} B"),
        >= 1_000_000 => string.Create(CultureInfo.InvariantCulture, $"{parameters / 1e6:F2} M"),
        _ => N(parameters),
    };

    private static string Words(string name) => string.Concat(name.Select((c, i) => i > 0 && char.IsUpper(c) ? $" {char.ToLowerInvariant(c)}" : $"{char.ToLowerInvariant(c)}"));
}
