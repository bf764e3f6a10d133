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
    private const long ProgramBytes = 140L << 20;

    private static readonly int[] Lengths = [4_096, 32_768, 131_072];

    public static Command Create()
    {
        Argument<string?> folder = new("PATH") { Arity = ArgumentArity.ZeroOrOne, Description = "Model folder or GGUF file, or a config.json alone. Default: the demonstration model." };
        Option<KvDtype> kvDtype = CommonOptions.KvDtype();
        Command command = new("inspect", "Show a model's architecture, size and memory.") { folder, kvDtype };
        command.SetAction(parsed =>
        {
            string? path = parsed.GetValue(folder);
            KvDtype kv = new CpuOptions { KvDtype = parsed.GetValue(kvDtype) }.ResolvedKvDtype;
            if (path is not null && Path.GetExtension(path).Equals(".json", StringComparison.OrdinalIgnoreCase) && File.Exists(path))
            {
                Print(Path.GetFullPath(path), ModelConfigReader.Read(File.ReadAllBytes(path)), null, kv);
                return ExitCodes.Success;
            }

            using Checkpoint checkpoint = Checkpoint.Open(ModelPath.Resolve(path));
            Print(checkpoint.Location, checkpoint.Config, checkpoint, kv);
            return ExitCodes.Success;
        });
        return command;
    }

    private static void Print(string name, ModelConfig config, Checkpoint? checkpoint, KvDtype kv)
    {
        ModelFootprint footprint = checkpoint is null ? new(config) : ModelFootprint.Of(checkpoint);
        AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"[bold]{name}[/]");
        AnsiConsole.Write(Facts(config, footprint, checkpoint));
        AnsiConsole.Write(WeightTable(footprint));
        if (checkpoint is not null)
            AnsiConsole.Write(TypeTable(checkpoint));
        AnsiConsole.Write(CapacityTable(config, footprint, kv));
    }

    private static Grid Facts(ModelConfig config, ModelFootprint footprint, Checkpoint? checkpoint)
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
            using CpuBackend backend = new(new CpuOptions { Threads = 1 });
            Row("on the CPU", $"{ByteSize.Format(LanguageModel.WeightBytes(checkpoint, backend))} packed, up to {ByteSize.Format(footprint.ActivationBytes(SessionOptions.DefaultStepTokens, ServeCommand.DefaultSequences) + CpuBackend.ScratchBytes(config, SessionOptions.DefaultStepTokens))} of activations, about {ByteSize.Format(ProgramBytes)} for the program; KV and states besides");
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

    private static Table CapacityTable(ModelConfig config, ModelFootprint footprint, KvDtype kv)
    {
        long available = SystemMemory.AvailableBytes();
        long budget = CacheBudget.Default(available - footprint.WeightBytes);
        Table table = new Table().Border(TableBorder.Simple)
            .Title(budget == 0
                ? $"{ByteSize.Format(available)} free: the weights do not fit"
                : $"{ByteSize.Format(available)} free, {ByteSize.Format(budget)} of it for KV and states by default")
            .AddColumn($"sequences of, keys and values in {Devices.Word(kv)}", c => c.RightAligned()).AddColumn("each", c => c.RightAligned()).AddColumn("fit", c => c.RightAligned());
        foreach (int length in Lengths.Where(length => length < config.MaxPositions).Append(config.MaxPositions))
        {
            long pages = (length + KvCache.PageTokens - 1) / KvCache.PageTokens;
            long each = (pages * KvCache.PageTokens * footprint.KvBytesPerToken(kv)) + footprint.StateBytes + footprint.ConvStateBytes(DType.F32);
            table.AddRow($"{N(length)} tokens", ByteSize.Format(each), N(budget / Math.Max(1, each)));
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
