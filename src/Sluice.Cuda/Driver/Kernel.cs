using System.Globalization;

namespace Sluice.Cuda.Driver;

/// <summary>A pointer to one argument of a launch; the value is copied when the launch is queued.</summary>
internal readonly unsafe struct Argument(void* value)
{
    public void* Value { get; } = value;

    public static implicit operator Argument(void* value) => new(value);
}

/// <summary>A function on the card.</summary>
internal sealed unsafe class Kernel
{
    private readonly string _name;
    private readonly nint _function;
    private int _sharedBytes;
    private int _resident;

    public Kernel(string name, nint function)
    {
        _name = name;
        _function = function;
    }

    /// <summary>Set to wait after every launch and name the kernel that failed; slow.</summary>
    public static bool IsChecked { get; } = Environment.GetEnvironmentVariable("SLUICE_CUDA_CHECK") == "1";

    /// <summary>
    /// Queues a launch. The kernel may begin before the one ahead of it has ended: it waits itself (<c>dependency_wait</c>).
    /// </summary>
    public void Launch(CudaStream stream, (int X, int Y, int Z) grid, int block, int sharedBytes, params ReadOnlySpan<Argument> arguments)
    {
        Allow(sharedBytes);
        DriverApi.LaunchAttribute overlap = new() { Id = DriverApi.LaunchAttributeProgrammaticSerialization, Value = 1 };
        DriverApi.LaunchConfig config = new()
        {
            GridX = (uint)grid.X,
            GridY = (uint)grid.Y,
            GridZ = (uint)grid.Z,
            BlockX = (uint)block,
            BlockY = 1,
            BlockZ = 1,
            SharedBytes = (uint)sharedBytes,
            Stream = stream.Handle,
            Attributes = &overlap,
            AttributeCount = 1,
        };
        int status;
        fixed (Argument* parameters = arguments)
            status = DriverApi.Launch(&config, _function, (void**)parameters, null);
        if (status != 0)
            CudaStatus.Throw(status, string.Create(CultureInfo.InvariantCulture, $"{_name} over {grid.X} x {grid.Y} x {grid.Z} blocks of {block} threads"));
        if (IsChecked && !stream.IsCapturing)
            stream.Synchronise(_name);
    }

    /// <summary>Clusters of so many blocks that the card runs at once; always asked with the same numbers, and found out the first time.</summary>
    public int Resident(int cluster, int block, int sharedBytes, int processors)
    {
        if (_resident > 0)
            return _resident;
        Allow(sharedBytes);
        int count;
        if (cluster == 1)
        {
            CudaStatus.Check(DriverApi.MaxActiveBlocks(&count, _function, block, (nuint)sharedBytes), $"{_name}: asking how many blocks fit");
            return _resident = Math.Max(1, count * processors);
        }

        DriverApi.LaunchAttribute together = new() { Id = DriverApi.LaunchAttributeClusterDimension, Value = cluster, ValueY = 1, ValueZ = 1 };
        DriverApi.LaunchConfig config = new()
        {
            GridX = (uint)(cluster * processors),
            GridY = 1,
            GridZ = 1,
            BlockX = (uint)block,
            BlockY = 1,
            BlockZ = 1,
            SharedBytes = (uint)sharedBytes,
            Attributes = &together,
            AttributeCount = 1,
        };
        CudaStatus.Check(DriverApi.MaxActiveClusters(&count, _function, &config), $"{_name}: asking how many clusters fit");
        return _resident = Math.Max(1, count);
    }

    // 48 KiB may be had unasked, but what a kernel has in fixed arrays counts too.
    private void Allow(int sharedBytes)
    {
        if (sharedBytes <= _sharedBytes)
            return;
        CudaStatus.Check(
            DriverApi.FunctionSetAttribute(_function, DriverApi.FunctionMaxDynamicSharedBytes, sharedBytes), $"{_name}: {sharedBytes} bytes of shared memory");
        _sharedBytes = sharedBytes;
    }
}
