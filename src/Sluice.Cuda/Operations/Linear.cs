using Sluice.Cuda.Blas;
using Sluice.Cuda.Memory;

namespace Sluice.Cuda.Operations;

/// <summary>Products of activations with a matrix: few rows by our kernel, which streams weights at memory speed, many by the library.</summary>
internal sealed unsafe class Linear(Launcher launcher, MatrixProducts library)
{
    // Beyond this the activations, read by every block, cost as much as the weights.
    private const int FewRows = 16;

    public void Run(CudaActivation x, CudaMatrix weight, CudaActivation y, int rows)
    {
        if (rows > FewRows)
        {
            int results = y.WritableWidth >= weight.PaddedRows ? weight.PaddedRows : weight.Rows;
            library.Multiply(
                launcher.Stream, x.Address, x.Stride, weight.Address, weight.Columns, results, y.Address, y.Stride, y.IsFloat, rows);
            return;
        }

        int tiles = Launcher.CeilDiv(rows, 8);

        // So many warps that all of a block's columns are in flight at once.
        int warps = Math.Clamp(Launcher.CeilDiv(weight.Columns, 256), 1, 16);
        (int columns, int outputs) = (weight.Columns, weight.Rows);
        (ulong from, int fromStride, ulong weights, ulong to, int toStride) = (x.Address, x.Stride, weight.Address, y.Address, y.Stride);
        bool isFloat = y.IsFloat;

        // Bringing in the weights of the block a wave further on was tried: a twentieth slower, for what the cache gives back it takes from memory's own order.
        (ulong ahead, int aheadPieces) = (0, 0);
        launcher.Get(
                "linear_few_rows.cu", "linear_few_rows",
                () => [$"COLUMNS={columns}", $"TILES={tiles}", $"WARPS={warps}", $"FLOAT_RESULT={(isFloat ? 1 : 0)}"], columns, tiles, isFloat ? 1 : 0)
            .Launch(
                launcher.Stream, (Launcher.CeilDiv(outputs, 16), 1, 1), warps * 32, 0,
                &from, &fromStride, &weights, &to, &toStride, &rows, &outputs, &ahead, &aheadPieces);
    }
}
