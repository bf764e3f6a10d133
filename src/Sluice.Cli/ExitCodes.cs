namespace Sluice.Cli;

/// <summary>What the program's exit status means.</summary>
internal static class ExitCodes
{
    public const int Success = 0;

    /// <summary>The command could not do what was asked, or a verification departed beyond its tolerance.</summary>
    public const int Failure = 1;

    /// <summary>Ctrl-C, as shells report it.</summary>
    public const int Interrupted = 130;
}
