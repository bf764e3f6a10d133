using System.Runtime.CompilerServices;

namespace Sluice.Cpu.Kernels;

/// <summary>How kernels are compiled.</summary>
internal static class Jit
{
    /// <summary>
    /// Optimised from the first call, and never inlined: within a caller, a loop's registers would be allocated together with everything
    /// else there, and its own inlining would stop half way, at the compiler's budget for one method.
    /// </summary>
    public const MethodImplOptions Kernel = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;
}
