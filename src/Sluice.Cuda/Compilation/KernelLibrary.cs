using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Sluice.Core;
using Sluice.Cuda.Driver;

namespace Sluice.Cuda.Compilation;

/// <summary>
/// Compiles the embedded kernels for exact shapes, given as macros, and keeps the machine code on disk by a hash of all that went into it:
/// the first start with a model compiles for some seconds, later ones read files. <c>SLUICE_KERNEL_CACHE</c> names the folder; a folder
/// that cannot be written only costs the time.
/// </summary>
internal sealed unsafe class KernelLibrary : IDisposable
{
    private const string FolderVariable = "SLUICE_KERNEL_CACHE";

    private readonly string _architecture;
    private readonly string _compiler;
    private readonly string? _folder;
    private readonly Dictionary<string, nint> _modules = new(StringComparer.Ordinal);
    private readonly Lock _lock = new();

    public KernelLibrary(string architecture)
    {
        NativeLibraries.Require(NativeLibraries.Nvrtc);
        _architecture = architecture + "a";
        int major, minor;
        Check(NvrtcApi.Version(&major, &minor), "asking its version", 0);
        _compiler = string.Create(CultureInfo.InvariantCulture, $"nvrtc {major}.{minor}");
        _folder = Environment.GetEnvironmentVariable(FolderVariable)
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify), "sluice", "kernels");
    }

    /// <summary>Compiled now rather than read.</summary>
    public int Compiled { get; private set; }

    /// <summary>A kernel, compiled if need be.</summary>
    /// <param name="file">The source, for example <c>rms_norm.cu</c>.</param>
    /// <param name="name">The function in it.</param>
    /// <param name="macros">Shapes, <c>NAME=VALUE</c>.</param>
    /// <exception cref="BackendException">It does not compile, which is a bug; the message holds the compiler's.</exception>
    public Kernel Get(string file, string name, params ReadOnlySpan<string> macros)
    {
        string key = file + " " + string.Join(' ', macros!);
        lock (_lock)
        {
            if (!_modules.TryGetValue(key, out nint module))
                _modules.Add(key, module = Load(file, key, macros));
            nint function;
            CudaStatus.Check(DriverApi.ModuleGetFunction(&function, module, name), $"finding {name} in {file}");
            return new Kernel($"{name} ({key})", function);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (nint module in _modules.Values)
            _ = DriverApi.ModuleUnload(module);
        _modules.Clear();
    }

    private nint Load(string file, string what, ReadOnlySpan<string> macros)
    {
        byte[] image = Image(file, what, macros);
        nint module;
        fixed (byte* start = image)
            CudaStatus.Check(DriverApi.ModuleLoad(&module, start), $"loading {what}");
        return module;
    }

    private byte[] Image(string file, string what, ReadOnlySpan<string> macros)
    {
        string[] headers = [.. KernelSources.Headers];
        StringBuilder all = new(_compiler);
        all.Append('\n').Append(_architecture).Append('\n').Append(what).Append('\n').Append(KernelSources.Text(file));
        foreach (string header in headers)
            all.Append(header).Append('\n').Append(KernelSources.Text(header));
        string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(all.ToString())));
        string? path = _folder is null ? null : Path.Combine(_folder, hash + ".cubin");
        if (path is not null && File.Exists(path))
            return File.ReadAllBytes(path);
        byte[] image = Compile(file, what, macros, headers);
        Compiled++;
        Keep(path, image);
        return image;
    }

    private void Keep(string? path, byte[] image)
    {
        if (path is null)
            return;
        try
        {
            // Written beside and moved, so that no other process reads half a file.
            _ = Directory.CreateDirectory(_folder!);
            string part = $"{path}.{Environment.ProcessId}";
            File.WriteAllBytes(part, image);
            File.Move(part, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The next start compiles again.
        }
    }

    private byte[] Compile(string file, string what, ReadOnlySpan<string> macros, string[] headers)
    {
        using NativeStrings strings = new();
        byte** contents = strings.Array([.. headers.Select(KernelSources.Text)]);
        byte** names = strings.Array(headers);
        List<string> options = ["--gpu-architecture=" + _architecture, "--std=c++20", "-default-device", "-lineinfo"];
        foreach (string macro in macros)
            options.Add("-D" + macro);
        nint program;
        Check(NvrtcApi.CreateProgram(&program, strings.One(KernelSources.Text(file)), file, headers.Length, contents, names), what, 0);
        try
        {
            Check(NvrtcApi.CompileProgram(program, options.Count, strings.Array([.. options])), what, program);
            nuint bytes;
            Check(NvrtcApi.CubinSize(program, &bytes), what, program);
            byte[] image = new byte[(int)bytes];
            fixed (byte* start = image)
                Check(NvrtcApi.Cubin(program, start), what, program);
            return image;
        }
        finally
        {
            _ = NvrtcApi.DestroyProgram(&program);
        }
    }

    private static void Check(int status, string what, nint program)
    {
        if (status == 0)
            return;
        string log = "";
        nuint bytes;
        if (program != 0 && NvrtcApi.LogSize(program, &bytes) == 0 && bytes > 1)
        {
            byte[] text = new byte[(int)bytes];
            fixed (byte* start = text)
                _ = NvrtcApi.Log(program, start);
            log = "\n" + Encoding.UTF8.GetString(text).TrimEnd('\0');
        }

        throw new BackendException(string.Create(CultureInfo.InvariantCulture, $"nvrtc, {what}: error {status}{log}"));
    }
}
