using System.Reflection;
using System.Runtime.InteropServices;
using Sluice.Core;

namespace Sluice.Cuda.Driver;

/// <summary>
/// Finds NVIDIA's libraries: the driver where the system has it, NVRTC and cuBLASLt where a CUDA toolkit or Python's packages put them.
/// <c>SLUICE_CUDA_PATH</c> names folders to look in first.
/// </summary>
internal static class NativeLibraries
{
    public const string Cuda = "cuda";
    public const string Nvrtc = "nvrtc";
    public const string CublasLt = "cublasLt";

    private const string PathVariable = "SLUICE_CUDA_PATH";

    private static readonly Lock Gate = new();
    private static readonly Dictionary<string, nint> Loaded = new(StringComparer.Ordinal);
    private static bool _isRegistered;

    /// <summary>Makes <c>[LibraryImport]</c> of this assembly find them. Safe to call often.</summary>
    public static void Register()
    {
        lock (Gate)
        {
            if (_isRegistered)
                return;
            NativeLibrary.SetDllImportResolver(typeof(NativeLibraries).Assembly, Resolve);
            _isRegistered = true;
        }
    }

    /// <summary>Loads a library now, so that a missing one is told in words.</summary>
    /// <exception cref="BackendException">It is nowhere; the message says where it was looked for and what to install.</exception>
    public static void Require(string name)
    {
        Register();
        if (Find(name) != 0)
            return;
        string remedy = name == Cuda
            ? "install NVIDIA's driver, or use --device cpu"
            : $"install the CUDA 12 or 13 toolkit's {name} (or `pip install nvidia-cuda-nvrtc nvidia-cublas`), or name its folder in {PathVariable}";
        throw new BackendException($"no CUDA: {FileNames(name)[0]} was not found; {remedy}");
    }

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path) => Find(name);

    private static nint Find(string name)
    {
        lock (Gate)
        {
            if (Loaded.TryGetValue(name, out nint known))
                return known;
            foreach (string candidate in Candidates(name))
            {
                if (NativeLibrary.TryLoad(candidate, out nint handle))
                    return Loaded[name] = handle;
            }

            return 0;
        }
    }

    private static IEnumerable<string> Candidates(string name)
    {
        string[] files = FileNames(name);
        string? chosen = Environment.GetEnvironmentVariable(PathVariable);
        foreach (string folder in chosen?.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries) ?? [])
        {
            foreach (string file in files)
                yield return Path.Combine(folder, file);
        }

        foreach (string file in files)
            yield return file;
        foreach (string folder in Folders())
        {
            foreach (string file in files)
            {
                string path = Path.Combine(folder, file);
                if (File.Exists(path))
                    yield return path;
            }
        }
    }

    private static string[] FileNames(string name) => (name, OperatingSystem.IsWindows()) switch
    {
        (Cuda, true) => ["nvcuda.dll"],
        (Cuda, false) => ["libcuda.so.1", "libcuda.so"],
        (Nvrtc, true) => ["nvrtc64_130_0.dll", "nvrtc64_120_0.dll"],
        (Nvrtc, false) => ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"],
        (_, true) => ["cublasLt64_13.dll", "cublasLt64_12.dll"],
        (_, false) => ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"],
    };

    private static IEnumerable<string> Folders()
    {
        if (Environment.GetEnvironmentVariable("CUDA_PATH") is { Length: > 0 } toolkit)
        {
            yield return Path.Combine(toolkit, "bin");
            yield return Path.Combine(toolkit, "lib64");
        }

        yield return "/usr/local/cuda/lib64";
        yield return "/usr/local/nvidia/lib64";
        yield return "/usr/lib/x86_64-linux-gnu";

        // Python's packages: nvidia/cu13/lib (CUDA 13) and nvidia/{cuda_nvrtc,cublas}/lib (CUDA 12) beside an interpreter's libraries.
        foreach (string root in PythonRoots())
        {
            foreach (string part in (string[])["cu13/lib", "cuda_nvrtc/lib", "cublas/lib"])
                yield return Path.Combine(root, "nvidia", part);
        }
    }

    private static List<string> PythonRoots()
    {
        List<string> roots = [];
        List<string> prefixes = ["/usr/local", "/usr"];
        if (Environment.GetEnvironmentVariable("VIRTUAL_ENV") is { Length: > 0 } virtualEnvironment)
            prefixes.Insert(0, virtualEnvironment);
        foreach (string folder in Environment.GetEnvironmentVariable("PATH")?.Split(Path.PathSeparator) ?? [])
        {
            if (File.Exists(Path.Combine(folder, "python3")) && Path.GetDirectoryName(folder) is { } prefix)
                prefixes.Add(prefix);
        }

        foreach (string prefix in prefixes.Distinct(StringComparer.Ordinal))
        {
            string lib = Path.Combine(prefix, "lib");
            if (!Directory.Exists(lib))
                continue;
            foreach (string python in Directory.EnumerateDirectories(lib, "python3*"))
            {
                roots.Add(Path.Combine(python, "site-packages"));
                roots.Add(Path.Combine(python, "dist-packages"));
            }
        }

        return roots;
    }
}
