using System.Globalization;
using System.Numerics;
using Sluice.Core;
using Sluice.Cuda.Driver;

namespace Sluice.Cuda.Blas;

/// <summary>
/// <c>y = x W^T</c> by NVIDIA's library: x [rows, columns] and W [outputs, columns] in bfloat16, y [rows, outputs] in bfloat16 or float32, sums in
/// float32. What the library advises for a shape is asked once.
/// </summary>
internal sealed unsafe class MatrixProducts : IDisposable
{
    // What cuBLAS's authors recommend for Hopper.
    private const long WorkspaceBytes = 32L << 20;

    // Prompts are cut into chunks of few sizes; when odd ones pile up, all are asked for again.
    private const int MostPlans = 2048;

    private readonly nint _handle;
    private readonly DeviceMemory _workspace = new(WorkspaceBytes, "matrix products");
    private readonly Dictionary<Shape, Plan> _plans = [];

    public MatrixProducts()
    {
        NativeLibraries.Require(NativeLibraries.CublasLt);
        nint handle;
        Check(CublasLtApi.Create(&handle), "starting");
        _handle = handle;
    }

    /// <summary>Queues a product.</summary>
    public void Multiply(
        CudaStream stream, ulong x, int xStride, ulong weight, int columns, int outputs, ulong y, int yStride, bool isFloat, int rows)
    {
        Shape shape = new(rows, columns, outputs, xStride, yStride, isFloat, AlignmentOf(x), AlignmentOf(y));
        if (!_plans.TryGetValue(shape, out Plan? plan))
        {
            if (_plans.Count >= MostPlans)
                Forget();
            _plans.Add(shape, plan = new Plan(_handle, shape, WorkspaceBytes));
        }

        float one = 1;
        float zero = 0;
        fixed (ulong* algorithm = plan.Algorithm)
        {
            int status = CublasLtApi.Multiply(
                _handle, plan.Descriptor, &one, weight, plan.Weight, x, plan.X, &zero, y, plan.Y, y, plan.Y, algorithm,
                _workspace.Address, (nuint)WorkspaceBytes, stream.Handle);
            Check(status, shape.ToString());
        }

        if (Kernel.IsChecked && !stream.IsCapturing)
            stream.Synchronise(shape.ToString());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Forget();
        _ = CublasLtApi.Destroy(_handle);
        _workspace.Dispose();
    }

    private static void Check(int status, string what)
    {
        if (status != 0)
            throw new BackendException(string.Create(CultureInfo.InvariantCulture, $"cublasLt, {what}: error {status}"));
    }

    private static int AlignmentOf(ulong address) => (int)Math.Min(256, 1UL << BitOperations.TrailingZeroCount(address));

    private void Forget()
    {
        foreach (Plan plan in _plans.Values)
            plan.Dispose();
        _plans.Clear();
    }

    private readonly record struct Shape(
        int Rows, int Columns, int Outputs, int XStride, int YStride, bool IsFloat, int XAlignment, int YAlignment);

    // The library counts columns first: our row-major [rows, outputs] is its [outputs, rows].
    private sealed class Plan : IDisposable
    {
        public Plan(nint handle, Shape shape, long workspaceBytes)
        {
            nint descriptor;
            Check(CublasLtApi.DescriptorCreate(&descriptor, CublasLtApi.Compute32F, CublasLtApi.TypeFloat32), "describing a product");
            Descriptor = descriptor;
            int transpose = 1;
            Check(CublasLtApi.DescriptorSet(descriptor, CublasLtApi.DescriptorTransposeA, &transpose, sizeof(int)), "describing a product");
            Weight = Layout(CublasLtApi.TypeBFloat16, shape.Columns, shape.Outputs, shape.Columns);
            X = Layout(CublasLtApi.TypeBFloat16, shape.Columns, shape.Rows, shape.XStride);
            Y = Layout(shape.IsFloat ? CublasLtApi.TypeFloat32 : CublasLtApi.TypeBFloat16, shape.Outputs, shape.Rows, shape.YStride);
            nint preference;
            Check(CublasLtApi.PreferenceCreate(&preference), "asking for advice");
            try
            {
                ulong workspace = (ulong)workspaceBytes;
                Check(CublasLtApi.PreferenceSet(preference, CublasLtApi.PreferenceWorkspaceBytes, &workspace, sizeof(ulong)), "asking for advice");
                Span<int> alignments = [256, shape.XAlignment, shape.YAlignment, shape.YAlignment];
                for (int i = 0; i < alignments.Length; i++)
                {
                    uint bytes = (uint)alignments[i];
                    Check(CublasLtApi.PreferenceSet(preference, CublasLtApi.PreferenceAlignmentA + i, &bytes, sizeof(uint)), "asking for advice");
                }

                CublasLtApi.HeuristicResult result;
                int found;
                Check(CublasLtApi.Heuristic(handle, descriptor, Weight, X, Y, Y, preference, 1, &result, &found), shape.ToString());
                if (found == 0)
                    throw new BackendException($"cublasLt knows no way to multiply {shape}");
                new ReadOnlySpan<ulong>(result.Algorithm, 8).CopyTo(Algorithm);
            }
            finally
            {
                _ = CublasLtApi.PreferenceDestroy(preference);
            }
        }

        public nint Descriptor { get; }

        public nint Weight { get; }

        public nint X { get; }

        public nint Y { get; }

        public ulong[] Algorithm { get; } = new ulong[8];

        public void Dispose()
        {
            _ = CublasLtApi.LayoutDestroy(Weight);
            _ = CublasLtApi.LayoutDestroy(X);
            _ = CublasLtApi.LayoutDestroy(Y);
            _ = CublasLtApi.DescriptorDestroy(Descriptor);
        }

        private static nint Layout(int type, int rows, int columns, int stride)
        {
            nint layout;
            Check(CublasLtApi.LayoutCreate(&layout, type, (ulong)rows, (ulong)columns, stride), "describing a matrix");
            return layout;
        }
    }
}
