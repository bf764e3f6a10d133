using System.Text;

namespace Sluice.Text.Output;

/// <summary>How far a call has been read.</summary>
internal enum CallState
{
    /// <summary>It may still turn out to be text.</summary>
    Undecided,

    /// <summary>Its name is a tool's and its arguments have begun; they flow into <see cref="CallReader.Arguments"/>.</summary>
    Started,

    /// <summary>The last character was its last: the arguments are whole.</summary>
    Complete,

    /// <summary>The last character cannot stand there; it was not taken.</summary>
    Malformed,
}

/// <summary>Reads one call, character by character, from after its opening tag.</summary>
internal abstract class CallReader
{
    /// <summary>Longest name of a tool or key of a parameter: what comes after is held back until it is whole.</summary>
    protected const int MaxNameLength = 256;

    private readonly IReadOnlyList<ToolSignature>? _tools;

    protected CallReader(IReadOnlyList<ToolSignature>? tools) => _tools = tools;

    /// <summary>The tool's name; meaningful once <see cref="CallState.Started"/>.</summary>
    public string Name { get; private set; } = "";

    /// <summary>JSON of the arguments so far; what has been passed on may be removed.</summary>
    public StringBuilder Arguments { get; } = new();

    /// <summary>How many of the last characters taken may begin something else if the next one is malformed.</summary>
    public virtual int Backlog => 0;

    /// <summary>How many of the last characters taken are held back: nothing has come of them yet.</summary>
    public virtual int Held => 0;

    /// <summary>What is known of the tool called, or null.</summary>
    protected ToolSignature? Signature { get; private set; }

    /// <summary>Takes a character.</summary>
    public abstract CallState Read(char c);

    /// <summary>Accepts a name if it is a tool's; any, if tools are not known.</summary>
    protected bool Accept(string name)
    {
        if (_tools is null)
        {
            Name = name;
            return name.Length > 0;
        }

        foreach (ToolSignature tool in _tools)
        {
            if (string.Equals(tool.Name, name, StringComparison.Ordinal))
            {
                Name = name;
                Signature = tool;
                return true;
            }
        }

        return false;
    }
}
