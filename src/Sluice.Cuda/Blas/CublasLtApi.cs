using System.Runtime.InteropServices;
using Sluice.Cuda.Driver;

namespace Sluice.Cuda.Blas;

/// <summary>The part of cuBLASLt that is used; numbers are those of <c>cublasLt.h</c>.</summary>
internal static unsafe partial class CublasLtApi
{
    public const int Compute32F = 68;
    public const int TypeFloat32 = 0;
    public const int TypeBFloat16 = 14;
    public const int DescriptorTransposeA = 3;
    public const int PreferenceWorkspaceBytes = 1;
    public const int PreferenceAlignmentA = 5;

    [LibraryImport(NativeLibraries.CublasLt, EntryPoint = "cublasLtCreate")]
    public static partial int Create(nint* handle);

    [LibraryImport(NativeLibraries.CublasLt, EntryPoint = "cublasLtDestroy")]
    public static partial int Destroy(nint handle);

    [LibraryImport(NativeLibraries.CublasLt, EntryPoint = "cublasLtMatmulDescCreate")]
    public static partial int DescriptorCreate(nint* descriptor, int computeType, int scaleType);

    [LibraryImport(NativeLibraries.CublasLt, EntryPoint = "cublasLtMatmulDescDestroy")]
    public static partial int DescriptorDestroy(nint descriptor);

    [LibraryImport(NativeLibraries.CublasLt, EntryPoint = "cublasLtMatmulDescSetAttribute")]
    public static partial int DescriptorSet(nint descriptor, int attribute, void* value, nuint bytes);

    [LibraryImport(NativeLibraries.CublasLt, EntryPoint = "cublasLtMatrixLayoutCreate")]
    public static partial int LayoutCreate(nint* layout, int type, ulong rows, ulong columns, long leadingDimension);

    [LibraryImport(NativeLibraries.CublasLt, EntryPoint = "cublasLtMatrixLayoutDestroy")]
    public static partial int LayoutDestroy(nint layout);

    [LibraryImport(NativeLibraries.CublasLt, EntryPoint = "cublasLtMatmulPreferenceCreate")]
    public static partial int PreferenceCreate(nint* preference);

    [LibraryImport(NativeLibraries.CublasLt, EntryPoint = "cublasLtMatmulPreferenceDestroy")]
    public static partial int PreferenceDestroy(nint preference);

    [LibraryImport(NativeLibraries.CublasLt, EntryPoint = "cublasLtMatmulPreferenceSetAttribute")]
    public static partial int PreferenceSet(nint preference, int attribute, void* value, nuint bytes);

    [LibraryImport(NativeLibraries.CublasLt, EntryPoint = "cublasLtMatmulAlgoGetHeuristic")]
    public static partial int Heuristic(
        nint handle, nint descriptor, nint a, nint b, nint c, nint d, nint preference, int wanted, HeuristicResult* results, int* found);

    [LibraryImport(NativeLibraries.CublasLt, EntryPoint = "cublasLtMatmul")]
    public static partial int Multiply(
        nint handle, nint descriptor, float* alpha, ulong a, nint layoutA, ulong b, nint layoutB, float* beta, ulong c, nint layoutC,
        ulong d, nint layoutD, void* algorithm, ulong workspace, nuint workspaceBytes, nint stream);

    /// <summary><c>cublasLtMatmulHeuristicResult_t</c>: the algorithm's 64 opaque bytes first.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 96)]
    public struct HeuristicResult
    {
        public fixed ulong Algorithm[8];
        public nuint WorkspaceBytes;
        public int State;
        public float Waves;
    }
}
