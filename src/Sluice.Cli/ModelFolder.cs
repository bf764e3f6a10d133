using Sluice.Core;

namespace Sluice.Cli;

/// <summary>Where a command's model lies: the folder asked for, or the demonstration model that comes with the program.</summary>
internal static class ModelFolder
{
    public static string Demo => Path.Combine(AppContext.BaseDirectory, "models", "demo");

    public static string Resolve(string? folder)
    {
        string path = Path.GetFullPath(folder ?? Demo);
        if (!Directory.Exists(path))
            throw new ConfigurationException($"no model folder at {path}; --model takes a folder with config.json, tokenizer.json and safetensors files");
        return path;
    }
}
