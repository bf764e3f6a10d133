using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Sluice.Core;

namespace Sluice.Cuda.Driver;

/// <summary>Turns result codes into errors that say what was being done.</summary>
internal static unsafe class CudaStatus
{
    private const int OutOfMemory = 2;

    // After these the driver refuses everything: uncorrectable memory error, then from CUDA_ERROR_ILLEGAL_ADDRESS to CUDA_ERROR_LAUNCH_FAILED those that
    // a kernel causes.
    private static readonly int[] Lost = [214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719];

    /// <summary>Throws unless <paramref name="status"/> is success.</summary>
    /// <param name="status">What a driver call returned.</param>
    /// <param name="what">What it was for: an operation with its shape, for example.</param>
    /// <exception cref="BackendException">It failed. After an error of the card itself (an illegal address, say) every later call fails too.</exception>
    public static void Check(int status, string what)
    {
        if (status != 0)
            Throw(status, what);
    }

    [DoesNotReturn]
    public static void Throw(int status, string what)
    {
        byte* name;
        byte* text;
        string described = DriverApi.GetErrorName(status, &name) == 0 && DriverApi.GetErrorString(status, &text) == 0
            ? $"{Marshal.PtrToStringUTF8((nint)name)}, {Marshal.PtrToStringUTF8((nint)text)}"
            : $"error {status}";
        string hint = status == OutOfMemory ? "; give --memory less, or use a card with more" : "";
        bool isLost = Array.IndexOf(Lost, status) >= 0;
        if (isLost)
            hint = "; the card is lost to this process, which must be started again";
        throw new BackendException($"cuda, {what}: {described}{hint}") { IsDeviceLost = isLost };
    }
}
