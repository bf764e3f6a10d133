using Sluice.Cuda.Compilation;
using Sluice.Cuda.Driver;

namespace Sluice.Cuda.Operations;

/// <summary>What every operation needs: the card, the stream that all work goes through in order, and the kernels.</summary>
internal sealed class Launcher(CudaDevice device, CudaStream stream, KernelLibrary kernels)
{
    private readonly Dictionary<(string File, string Name, int A, int B, int C, int D, int E), Kernel> _kernels = [];

    public CudaDevice Device => device;

    public CudaStream Stream => stream;

    /// <summary>
    /// A kernel for a shape, compiled the first time; <paramref name="macros"/> is asked only then. The numbers tell shapes apart.
    /// </summary>
    public Kernel Get(string file, string name, Func<string[]> macros, int a = 0, int b = 0, int c = 0, int d = 0, int e = 0)
    {
        var key = (file, name, a, b, c, d, e);
        if (!_kernels.TryGetValue(key, out Kernel? kernel))
            _kernels.Add(key, kernel = kernels.Get(file, name, macros()));
        return kernel;
    }

    public static int CeilDiv(int a, int b) => (a + b - 1) / b;
}
