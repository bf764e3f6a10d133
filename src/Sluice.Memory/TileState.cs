using System.Runtime.InteropServices;

namespace Sluice.Memory;

/// <summary>
/// The processor's tile registers (AMX), 8 KiB that a thread has from its first use of them on: the system must be asked for permission. Only Linux is
/// asked.
/// </summary>
public static unsafe class TileState
{
    private const int ArchPrctl = 158;
    private const int GetPermitted = 0x1022;
    private const int RequestPermission = 0x1023;
    private const int TileData = 18;

    // Bits of XCR0: shapes of tiles, and what is in them.
    private const ulong Tiles = (1UL << 17) | (1UL << TileData);

    /// <summary>Asks for all threads of this process: whether they may use tiles from now on. Asking again changes nothing.</summary>
    public static bool TryRequest()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
            return false;
        ulong permitted = 0;
        return Posix.SystemCall(ArchPrctl, RequestPermission, TileData) == 0
            && Posix.SystemCall(ArchPrctl, GetPermitted, (nint)(&permitted)) == 0
            && (permitted & Tiles) == Tiles;
    }
}
