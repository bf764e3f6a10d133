using Sluice.Cuda.Memory;

namespace Sluice.Cuda.Operations;

/// <summary>Operations that read and write rows: embedding, norms, gates, sums. Memory-bound, each one launch.</summary>
internal sealed unsafe class RowOperations(Launcher launcher)
{
    private const int Threads = 256;

    public void Embed(StepPointers step, CudaMatrix table, CudaActivation hidden, int rows)
    {
        (ulong from, ulong to, int stride, int width) = (table.Address, hidden.Address, hidden.Stride, hidden.Width);
        launcher.Get("embed.cu", "embed", () => [$"FLOAT_HIDDEN={(hidden.IsFloat ? 1 : 0)}"], hidden.IsFloat ? 1 : 0)
            .Launch(launcher.Stream, (rows, 1, 1), Threads, 0, &step, &from, &to, &stride, &width);
    }

    public void Gather(StepPointers step, CudaActivation x, CudaActivation y, int rows)
    {
        (ulong from, int fromStride, ulong to, int toStride, int width) = (x.Address, x.Stride, y.Address, y.Stride, y.Width);
        launcher.Get("embed.cu", "gather_logit_rows", () => [$"FLOAT_HIDDEN={(x.IsFloat ? 1 : 0)}"], x.IsFloat ? 1 : 0)
            .Launch(launcher.Stream, (rows, 1, 1), Threads, 0, &step, &from, &fromStride, &to, &toStride, &width);
    }

    /// <summary>A recorded step's batch.</summary>
    public void Fetch(DeviceStep step)
    {
        (ulong host, ulong device, int words, int pages, int pageEntries) = step.Fetched;
        launcher.Get("fetch_step.cu", "fetch_step", None)
            .Launch(launcher.Stream, (Launcher.CeilDiv(words + pageEntries, 1024), 1, 1), 256, 0, &host, &device, &words, &pages);
    }

    public void MapSlots((ulong Address, int Count) updates, StateMap states)
    {
        (ulong address, int each, ulong table) = (updates.Address, states.SuperblocksPerSlot, states.Slots);
        launcher.Get("embed.cu", "map_slots", None).Launch(launcher.Stream, (updates.Count, 1, 1), 32, 0, &address, &each, &table);
    }

    /// <summary><c>x += delta; y = norm(x) * weight</c>; without delta no sum, without y no norm.</summary>
    public void Norm(CudaActivation x, CudaActivation? delta, CudaVector? weight, float epsilon, CudaActivation? y, int rows)
    {
        int width = x.Width;
        (ulong xAt, int xStride) = (x.Address, x.Stride);
        (ulong deltaAt, int deltaStride) = (delta?.Address ?? 0, delta?.Stride ?? 0);
        ulong weights = weight?.Address ?? 0;
        (ulong yAt, int yStride) = (y?.Address ?? 0, y?.Stride ?? 0);
        launcher.Get("rms_norm.cu", "rms_norm", () => [$"WIDTH={width}", $"FLOAT_X={(x.IsFloat ? 1 : 0)}"], width, x.IsFloat ? 1 : 0)
            .Launch(launcher.Stream, (rows, 1, 1), NormThreads(width), 0, &xAt, &xStride, &deltaAt, &deltaStride, &weights, &epsilon, &yAt, &yStride);
    }

    public void GatedNorm(CudaActivation o, CudaActivation z, CudaVector weight, float epsilon, CudaActivation y, int rows)
    {
        int width = weight.Length;
        int heads = o.Width / width;
        int lanes = 1;
        while (lanes < 32 && lanes * 8 < width)
            lanes *= 2;
        (ulong oAt, int oStride, ulong zAt, int zStride) = (o.Address, o.Stride, z.Address, z.Stride);
        (ulong weights, ulong yAt, int yStride) = (weight.Address, y.Address, y.Stride);
        launcher.Get("gated_rms_norm.cu", "gated_rms_norm", () => [$"WIDTH={width}"], width).Launch(
            launcher.Stream, (Launcher.CeilDiv(rows * heads, Threads / lanes), 1, 1), Threads, 0,
            &oAt, &oStride, &zAt, &zStride, &weights, &epsilon, &yAt, &yStride, &rows, &heads);
    }

    public void SwiGlu(CudaActivation gateUp, CudaActivation y, int rows)
    {
        (ulong from, int fromStride, ulong to, int toStride, int width) = (gateUp.Address, gateUp.Stride, y.Address, y.Stride, y.Width);
        launcher.Get("elementwise.cu", gateUp.IsFloat ? "swiglu_float" : "swiglu", None)
            .Launch(launcher.Stream, Grid(width, rows), Threads, 0, &from, &fromStride, &to, &toStride, &width);
    }

    public void AddGated(CudaActivation x, CudaActivation gate, CudaActivation y, int rows)
    {
        (ulong from, int fromStride, ulong gates, int gateStride) = (x.Address, x.Stride, gate.Address, gate.Stride);
        (ulong to, int toStride, int width) = (y.Address, y.Stride, y.Width);
        launcher.Get("elementwise.cu", "add_gated", None).Launch(
            launcher.Stream, Grid(width, rows), Threads, 0, &from, &fromStride, &gates, &gateStride, &to, &toStride, &width);
    }

    public void AddBias(CudaActivation y, CudaVector bias, int rows)
    {
        (ulong to, int toStride, ulong from, int width) = (y.Address, y.Stride, bias.Address, y.Width);
        launcher.Get("elementwise.cu", "add_bias", None).Launch(launcher.Stream, Grid(width, rows), Threads, 0, &to, &toStride, &from, &width);
    }

    /// <summary>NORM_THREADS of rms_norm.cuh.</summary>
    public static int NormThreads(int width) => Math.Min(256, Launcher.CeilDiv(width, 256) * 32);

    private static string[] None() => [];

    private static (int X, int Y, int Z) Grid(int width, int rows) => (Launcher.CeilDiv(width, 8 * Threads), rows, 1);
}
