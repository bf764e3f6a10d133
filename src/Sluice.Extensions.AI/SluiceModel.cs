using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Core;
using Sluice.Cpu;
using Sluice.Engine;
using Sluice.Engine.Sampling;
using Sluice.Engine.Text;
using Sluice.Models;
using Sluice.Text;
using Sluice.Text.Output;

namespace Sluice.Extensions.AI;

/// <summary>
/// A model loaded into this process, with everything that a conversation needs. It owns the engine, the weights and the device's
/// memory; disposing ends its requests first. Safe to use from any thread.
/// </summary>
public sealed class SluiceModel : IAsyncDisposable, IDisposable
{
    private const long LeastCacheBytes = 256L << 20;

    private readonly CpuBackend _backend;
    private readonly LanguageModel _model;
    private int _disposed;

    private SluiceModel(string id, CpuBackend backend, LanguageModel model, InferenceEngine engine, GenerationDefaults defaults, ModelText text)
    {
        Id = id;
        _backend = backend;
        _model = model;
        IReadOnlyList<int> endOfText = defaults.EndOfText.Count > 0 ? defaults.EndOfText : model.Config.EndOfText;
        Generator = new TextGenerator(engine, text.Tokenizer, endOfText);
        Chat = text.Chat;
        OutputFormat = text.Format;
        Defaults = SamplingOptions.Suggested(defaults);
    }

    /// <summary>Where the demonstration model lies.</summary>
    public static string DemoFolder => Path.Combine(AppContext.BaseDirectory, "models", "demo");

    /// <summary>The model's name.</summary>
    public string Id { get; }

    /// <summary>The model's configuration.</summary>
    public ModelConfig Config => _model.Config;

    /// <summary>Generates text; its engine and tokenizer are here too.</summary>
    public TextGenerator Generator { get; }

    /// <summary>The chat template.</summary>
    public ChatTemplate Chat { get; }

    /// <summary>How the model marks reasoning and calls of tools.</summary>
    public OutputFormat OutputFormat { get; }

    /// <summary>Sampling where a request is silent: what generation_config.json suggests.</summary>
    public SamplingOptions Defaults { get; }

    /// <summary>What became of <see cref="SluiceOptions.PackedWeights"/>; null where it is off.</summary>
    public PackedWeights? PackedWeights => _backend.PackedWeights;

    /// <summary>Opens a model folder or GGUF file and loads it. This takes as long as reading the weights.</summary>
    /// <exception cref="SluiceException">An option, or a file of the model, is not right; the message says what.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> was cancelled.</exception>
    public static SluiceModel Load(SluiceOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new SluiceOptions();
        string folder = Path.GetFullPath(options.ModelFolder ?? DemoFolder);
        if (!Directory.Exists(folder) && !File.Exists(folder))
            throw new ConfigurationException($"{nameof(options.ModelFolder)}: no model at {folder}; give a folder with config.json, tokenizer.json and safetensors files, or a .gguf file");
        if (options.CacheBytes is <= 0)
            throw new ConfigurationException($"{nameof(options.CacheBytes)} must be more than 0, found {options.CacheBytes}");
        if (!Enum.IsDefined(options.Activations) || !Enum.IsDefined(options.KvDtype) || !Enum.IsDefined(options.Numa))
            throw new ConfigurationException($"{nameof(options.Activations)}, {nameof(options.KvDtype)} and {nameof(options.Numa)}: expected values that have names, found {options.Activations}, {options.KvDtype} and {options.Numa}");
        var engineOptions = new EngineOptions { StepTokens = StepSize.Shared, MaxRunning = options.MaxRunning, MaxQueued = options.MaxQueued, DrainTimeout = options.DrainTimeout };

        // What can be wrong with small files shows before the large ones are read.
        ModelText text = ModelText.Load(folder, options);
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        var backend = new CpuBackend(new CpuOptions
        {
            Threads = options.Threads,
            Activations = options.Activations,
            KvDtype = options.KvDtype,
            Numa = options.Numa,
            PackedWeights = PackedWeightsOptions.For(options.PackedWeights, folder, options.Activations, () => checkpoint.Identity()),
        });
        LanguageModel? model = null;
        try
        {
            model = LanguageModel.Load(
                checkpoint,
                backend,
                new ModelOptions
                {
                    MaxStepTokens = StepSize.Alone(checkpoint.Config),
                    MaxLogitRows = Math.Min(StepSize.Shared, options.MaxRunning),
                    CacheBytes = ChooseCacheBytes(options, checkpoint, backend),
                },
                cancellation: cancellation);
            if (backend.PackedWeights is { AreMapped: false } packed)
                packed.TryWrite(cancellation: cancellation);
            string id = options.ModelId ?? (File.Exists(folder) ? Path.GetFileNameWithoutExtension(folder) : Path.GetFileName(Path.TrimEndingDirectorySeparator(folder)));
            return new SluiceModel(id, backend, model, new InferenceEngine(model, engineOptions with { PromptStepTokens = model.MaxStepTokens }), checkpoint.Generation, text);
        }
        catch
        {
            model?.Dispose();
            backend.Dispose();
            throw;
        }
    }

    /// <summary>Takes no more requests, lets those accepted finish for a while, cancels the rest, and frees all memory.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        await Generator.Engine.DisposeAsync();
        _model.Dispose();
        _backend.Dispose();
    }

    /// <summary>As <see cref="DisposeAsync"/>; waits here.</summary>
    public void Dispose() => Task.Run(async () => await DisposeAsync()).GetAwaiter().GetResult();

    private static long ChooseCacheBytes(SluiceOptions options, Checkpoint checkpoint, IBackend backend)
    {
        long free = backend.AvailableBytes - LanguageModel.WeightBytes(checkpoint, backend);
        long requested = options.CacheBytes ?? Math.Max(1, Math.Min(CacheBudget.Default(free), Math.Max(LeastCacheBytes, free / 8)));
        return CacheBudget.Choose(backend.GeometryOf(CacheShape.Of(checkpoint.Config)), requested, free);
    }

    /// <summary>What stands between messages and token ids.</summary>
    private sealed record ModelText(Tokenizer Tokenizer, ChatTemplate Chat, OutputFormat Format)
    {
        public static ModelText Load(string folder, SluiceOptions options)
        {
            ChatTemplate chat = (options.ChatTemplate is { } source ? ChatTemplate.Parse(source, specialTokens: ChatTemplate.Load(folder)?.SpecialTokens) : ChatTemplate.Load(folder))
                ?? throw new ConfigurationException($"the model in {folder} has no chat template; give {nameof(options.ChatTemplate)}");
            var tokenizer = Tokenizer.Load(folder);
            return new ModelText(tokenizer, chat, options.OutputFormat ?? OutputFormat.Detect(chat, tokenizer));
        }
    }
}
