using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Sluice.Core;

namespace Sluice.Cuda.Driver;

/// <summary>Turns result codes into errors that say what was being done.</summary>
internal static unsafe class CudaStatus
{
    private const int OutOfMemory = 2;

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
        throw new BackendException($"cuda, {what}: {described}{hint}");
    }
}
