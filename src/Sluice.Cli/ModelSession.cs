using System.Diagnostics;
using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Cli.Commands;
using Sluice.Cli.Terminal;
using Sluice.Core;
using Sluice.Engine;
using Sluice.Models;

namespace Sluice.Cli;

/// <summary>How a command wants its model.</summary>
internal sealed record SessionOptions
{
    public required string Folder { get; init; }

    /// <summary>What computes.</summary>
    public required Compute Compute { get; init; }

    public int LoadWorkers { get; init; }

    /// <summary>Bytes for KV and states; 0 for what is free after the weights, less a margin.</summary>
    public long Memory { get; init; }

    public int Sequences { get; init; } = 1;

    /// <summary>Whether a file of packed weights is written beside what runs, not before.</summary>
    public bool ServesWhileWriting { get; init; }
}

/// <summary>A model, loaded with progress on the terminal, and the engine that runs it.</summary>
internal sealed class ModelSession : IAsyncDisposable
{
    private readonly IBackend _backend;
    private readonly LanguageModel _model;
    private readonly CancellationTokenSource _ending = new();
    private readonly Task _writing;

    private ModelSession(string folder, IBackend backend, LanguageModel model, GenerationDefaults defaults, SessionOptions options)
    {
        Folder = folder;
        _backend = backend;
        _model = model;
        Defaults = defaults;
        Engine = new InferenceEngine(model, new EngineOptions { StepTokens = StepSize.Shared, PromptStepTokens = model.MaxStepTokens });
        _writing = options.ServesWhileWriting ? PackedWeightsDisplay.FinishAsync(backend, _ending.Token) : Task.CompletedTask;
    }

    public string Folder { get; }

    public string BackendName => _backend.Name;

    public ModelConfig Config => _model.Config;

    public GenerationDefaults Defaults { get; }

    /// <summary>Ids that end a generation: generation_config.json's, else config.json's.</summary>
    public IReadOnlyList<int> EndOfText => Defaults.EndOfText.Count > 0 ? Defaults.EndOfText : Config.EndOfText;

    public InferenceEngine Engine { get; }

    /// <summary>Loads, with progress on the terminal and, if somebody wants it, to <paramref name="watch"/>.</summary>
    public static ModelSession Load(SessionOptions options, CancellationToken cancellation, Action<LoadProgress>? watch = null)
    {
        using Checkpoint checkpoint = Checkpoint.Open(options.Folder);
        IBackend backend = options.Compute.Open(checkpoint);
        LanguageModel? model = null;
        try
        {
            long free = backend.AvailableBytes - LanguageModel.WeightBytes(checkpoint, backend);
            long cacheBytes = CacheBudget.Choose(backend.GeometryOf(CacheShape.Of(checkpoint.Config)), options.Memory, free);
            LoadDisplay display = new("loading") { Watch = watch };
            long start = Stopwatch.GetTimestamp();
            model = LanguageModel.Load(
                checkpoint,
                backend,
                new ModelOptions
                {
                    MaxStepTokens = StepSize.Alone(checkpoint.Config),
                    MaxLogitRows = Math.Min(StepSize.Shared, options.Sequences),
                    CacheBytes = cacheBytes,
                    LoadWorkers = options.LoadWorkers,
                },
                display,
                cancellation);
            display.Finish(checkpoint.ByteLength, Stopwatch.GetElapsedTime(start));
            if (!options.ServesWhileWriting)
                PackedWeightsDisplay.Finish(backend, cancellation);
            return new ModelSession(options.Folder, backend, model, checkpoint.Generation, options);
        }
        catch
        {
            model?.Dispose();
            backend.Dispose();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync();
        await Engine.DisposeAsync();
        await _writing;
        _ending.Dispose();
        _model.Dispose();
        _backend.Dispose();
    }
}
