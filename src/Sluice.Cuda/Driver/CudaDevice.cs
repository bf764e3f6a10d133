using System.Globalization;
using System.Runtime.InteropServices;
using Sluice.Core;

namespace Sluice.Cuda.Driver;

/// <summary>A graphics card and its primary context, current on whichever thread last called <see cref="MakeCurrent"/>.</summary>
internal sealed unsafe class CudaDevice : IDisposable
{
    private const int AttributeProcessors = 16;
    private const int AttributeMajor = 75;
    private const int AttributeMinor = 76;
    private const int LeastMajor = 9;

    private readonly int _device;
    private readonly nint _context;

    private CudaDevice(int ordinal, int device, nint context, string name)
    {
        Ordinal = ordinal;
        _device = device;
        _context = context;
        Name = name;
        Processors = Attribute(AttributeProcessors);
        Architecture = $"sm_{Attribute(AttributeMajor)}{Attribute(AttributeMinor)}";
        if (Attribute(AttributeMajor) != LeastMajor)
        {
            throw new BackendException(
                $"cuda:{ordinal} is a {name} ({Architecture}); the kernels use instructions of Hopper cards (sm_90, H100 and H200): use --device cpu");
        }
    }

    /// <summary>Which of the cards.</summary>
    public int Ordinal { get; }

    /// <summary>As the driver names it.</summary>
    public string Name { get; }

    /// <summary>Streaming multiprocessors.</summary>
    public int Processors { get; }

    /// <summary>For example <c>sm_90</c>.</summary>
    public string Architecture { get; }

    /// <summary>Memory free and in all, bytes.</summary>
    public (long Free, long Total) Memory
    {
        get
        {
            nuint free, total;
            CudaStatus.Check(DriverApi.MemoryInfo(&free, &total), "reading the card's memory");
            return ((long)free, (long)total);
        }
    }

    /// <summary>Opens a card.</summary>
    /// <exception cref="BackendException">There is no driver, no such card, or it is of another generation.</exception>
    public static CudaDevice Open(int ordinal)
    {
        NativeLibraries.Require(NativeLibraries.Cuda);
        CudaStatus.Check(DriverApi.Init(0), "starting the CUDA driver");
        int count;
        CudaStatus.Check(DriverApi.DeviceGetCount(&count), "counting the cards");
        if (ordinal < 0 || ordinal >= count)
            throw new BackendException(string.Create(CultureInfo.InvariantCulture, $"cuda:{ordinal}: there are {count} cards, numbered from 0"));
        int device;
        CudaStatus.Check(DriverApi.DeviceGet(&device, ordinal), "finding the card");
        byte* name = stackalloc byte[128];
        CudaStatus.Check(DriverApi.DeviceGetName(name, 128, device), "asking the card's name");
        nint context;
        CudaStatus.Check(DriverApi.PrimaryContextRetain(&context, device), "opening the card");
        CudaStatus.Check(DriverApi.SetCurrent(context), "using the card");
        try
        {
            return new CudaDevice(ordinal, device, context, Marshal.PtrToStringUTF8((nint)name) ?? "?");
        }
        catch
        {
            _ = DriverApi.PrimaryContextRelease(device);
            throw;
        }
    }

    /// <summary>Lets the calling thread use the card.</summary>
    public void MakeCurrent() => CudaStatus.Check(DriverApi.SetCurrent(_context), "using the card");

    /// <inheritdoc/>
    public void Dispose() => _ = DriverApi.PrimaryContextRelease(_device);

    private int Attribute(int attribute)
    {
        int value;
        CudaStatus.Check(DriverApi.DeviceGetAttribute(&value, attribute, _device), "asking the card's properties");
        return value;
    }
}
