using System.Security.Cryptography;
using System.Text;
using Sluice.Core;

namespace Sluice.Cpu;

/// <summary>A file that keeps packed weights from one start to the next, and what it must have been packed from.</summary>
/// <param name="Path">The file; it need not be there.</param>
/// <param name="Source">SHA-256 of what tells the weights' source from every other.</param>
public sealed record PackedWeightsOptions(string Path, ReadOnlyMemory<byte> Source)
{
    /// <summary>For flags and settings: no file.</summary>
    public const string Off = "off";

    /// <summary>For flags and settings: a file beside the model.</summary>
    public const string Beside = "beside";

    /// <summary>The file for a model.</summary>
    /// <param name="where"><see cref="Off"/> or null, <see cref="Beside"/>, or a folder, which may serve many models.</param>
    /// <param name="model">The model's folder or file.</param>
    /// <param name="precision">What products make of activations, which decides how weights are packed.</param>
    /// <param name="source">Gives what the model's weights are told by.</param>
    /// <exception cref="ConfigurationException">The folder's name is empty.</exception>
    public static PackedWeightsOptions? For(string? where, string model, ActivationPrecision precision, Func<ReadOnlyMemory<byte>> source)
    {
        ArgumentNullException.ThrowIfNull(source);
        if (where is null or Off)
            return null;
        if (string.IsNullOrWhiteSpace(where) || where.Contains('\0', StringComparison.Ordinal))
            throw new ConfigurationException($"packed weights: expected {Off}, {Beside} or a folder, found '{where}'");

        string full = System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(model));
        string name = System.IO.Path.GetFileName(full);
        string suffix = $".{precision.ToString().ToLowerInvariant()}.packed";
        if (where != Beside)
        {
            // Models in different folders may have the same name.
            string place = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(full)).AsSpan(0, 4));
            return new(System.IO.Path.Combine(where, $"{name}-{place}{suffix}"), source());
        }

        return new(System.IO.Path.Combine(Directory.Exists(full) ? full : System.IO.Path.GetDirectoryName(full)!, name + suffix), source());
    }
}
