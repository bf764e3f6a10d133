using Sluice.Core;

namespace Sluice.Cli;

/// <summary>Where a command's model lies: the folder or GGUF file asked for, or the demonstration model that comes with the program.</summary>
internal static class ModelPath
{
    public static string Demo => Path.Combine(AppContext.BaseDirectory, "models", "demo");

    public static string Resolve(string? model)
    {
        string path = Path.GetFullPath(model ?? Demo);
        if (!Directory.Exists(path) && !File.Exists(path))
            throw new ConfigurationException($"no model at {path}; --model takes a folder with config.json, tokenizer.json and safetensors files, or a .gguf file");
        return path;
    }

    /// <summary>What to call a model: its folder's or its file's name.</summary>
    public static string NameOf(string path) =>
        File.Exists(path) ? Path.GetFileNameWithoutExtension(path) : Path.GetFileName(Path.TrimEndingDirectorySeparator(path));
}
