using Sluice.Core;

namespace Sluice.Cuda.Tests;

/// <summary>Whether this machine has a card that the kernels run on.</summary>
internal static class Card
{
    private static readonly Lazy<string> Reason = new(() =>
    {
        try
        {
            using CudaBackend backend = CudaBackend.Open();
            return "";
        }
        catch (BackendException e)
        {
            return e.Message;
        }
    });

    public static bool IsThere => Reason.Value.Length == 0;

    public static string WhyNot => Reason.Value;
}
