using Sluice.Core;

namespace Sluice.Checkpoints.Safetensors;

/// <summary>
/// Writes a checkpoint as a folder. All of it is on the disk before any file takes its name, and config.json takes its name last: whoever looks finds the checkpoint
/// that was there before, none, or the whole new one.
/// </summary>
internal sealed class FolderWriter : IDisposable
{
    private const string Configuration = "config.json";
    private const string WeightFile = "model.safetensors";
    private const string Index = WeightFile + ".index.json";

    /// <summary>What a folder has besides weights and configuration, as far as it is read here or by transformers' tokenizers.</summary>
    internal static readonly string[] TextFiles =
    [
        "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "additional_chat_templates/tool_use.jinja", "vocab.json", "merges.txt",
    ];

    private readonly string _folder;
    private readonly List<string> _made = [];
    private readonly List<(string Name, OutputFile File)> _files = [];
    private bool _completed;

    /// <summary>Begins, in a folder that is made if need be.</summary>
    /// <exception cref="CheckpointException">The folder cannot be made, or there is no room.</exception>
    internal FolderWriter(string folder, IEnumerable<TensorDeclaration> tensors)
    {
        _folder = folder;
        try
        {
            Make(folder);
            Weights = SafetensorsWriter.Create(At(WeightFile), tensors, new Dictionary<string, string>(StringComparer.Ordinal) { ["format"] = "pt" });
        }
        catch
        {
            RemoveMade();
            throw;
        }
    }

    /// <summary>Takes the tensors' data.</summary>
    internal SafetensorsWriter Weights { get; }

    /// <summary>Writes another file of the folder.</summary>
    /// <exception cref="CheckpointException">The disk is full, or the file cannot be written for another reason.</exception>
    internal void Write(string name, ReadOnlySpan<byte> content)
    {
        Make(Path.GetDirectoryName(At(name))!);
        OutputFile file = new(At(name), content.Length);
        _files.Add((name, file));
        file.Write(content);
        file.Flush();
    }

    /// <summary>Gives every file its name. What an older checkpoint had and this one has not is deleted.</summary>
    /// <exception cref="CheckpointException">A file cannot be written.</exception>
    internal void Complete()
    {
        Weights.Flush();
        Change(() => File.Delete(At(Configuration)));
        foreach (string stale in TextFiles.Concat(Shards()).Where(name => File.Exists(At(name)) && !_files.Exists(file => file.Name == name)))
            Change(() => File.Delete(At(stale)));
        Weights.Complete();
        foreach ((_, OutputFile file) in _files.OrderBy(file => file.Name == Configuration))
            file.Complete();
        _completed = true;
    }

    /// <summary>Discards what is not complete.</summary>
    public void Dispose()
    {
        Weights.Dispose();
        foreach ((_, OutputFile file) in _files)
            file.Dispose();
        if (!_completed)
            RemoveMade();
    }

    private string At(string name) => Path.Combine(_folder, name);

    /// <summary>An older checkpoint's index and the files it names.</summary>
    private List<string> Shards()
    {
        if (!File.Exists(At(Index)))
            return [];
        try
        {
            return [.. ShardIndex.Parse(File.ReadAllBytes(At(Index)), Index).Files.Where(name => name != WeightFile), Index];
        }
        catch (CheckpointException)
        {
            // Whatever it was to name, it names nothing here any more.
            return [Index];
        }
        catch (Exception e) when (OutputFile.IsRefusal(e))
        {
            throw new CheckpointException($"{At(Index)}: cannot be read: {e.Message}", inner: e);
        }
    }

    /// <summary>Makes a folder and those above it, as far as there are none, and remembers which.</summary>
    private void Make(string folder)
    {
        if (Directory.Exists(folder))
            return;
        if (Path.GetDirectoryName(Path.GetFullPath(folder)) is { } above)
            Make(above);
        Change(() => Directory.CreateDirectory(folder));
        _made.Add(folder);
    }

    private void RemoveMade()
    {
        try
        {
            foreach (string folder in Enumerable.Reverse(_made))
                Directory.Delete(folder);
        }
        catch (Exception e) when (OutputFile.IsRefusal(e))
        {
            // Somebody has put something there meanwhile: what keeps the checkpoint from being written is the error to tell of.
        }
    }

    private void Change(Action change)
    {
        try
        {
            change();
        }
        catch (Exception e) when (OutputFile.IsRefusal(e))
        {
            throw new CheckpointException($"{_folder}: cannot be written: {e.Message}", inner: e);
        }
    }
}
