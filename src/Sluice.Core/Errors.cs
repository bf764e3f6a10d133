namespace Sluice.Core;

/// <summary>
/// The root of every error Sluice raises on purpose. Its message is one line that a user can act on: what was expected,
/// what was found, and where.
/// </summary>
public abstract class SluiceException : Exception
{
    /// <summary>Creates the error with its one-line message.</summary>
    protected SluiceException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}

/// <summary>A checkpoint's files break their format, contradict each other or the configuration, or cannot be read or written.</summary>
public sealed class CheckpointException : SluiceException
{
    /// <summary>Creates the error; <paramref name="problems"/> lists every tensor at fault when there are several.</summary>
    public CheckpointException(string message, IReadOnlyList<string>? problems = null, Exception? inner = null)
        : base(message, inner) => Problems = problems ?? [];

    /// <summary>One line for each tensor that is missing, surplus, misshapen or mistyped; empty for other errors.</summary>
    public IReadOnlyList<string> Problems { get; }
}

/// <summary>A configuration (of a model or of Sluice itself) is invalid, or asks for what is not implemented.</summary>
public sealed class ConfigurationException : SluiceException
{
    /// <summary>Creates the error; the message names the field and the fix.</summary>
    public ConfigurationException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}

/// <summary>A tokenizer file is malformed or uses what is not implemented.</summary>
public sealed class TokenizerException : SluiceException
{
    /// <summary>Creates the error.</summary>
    public TokenizerException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}

/// <summary>A chat template does not parse, exceeds a limit, or raised an error of its own.</summary>
public sealed class TemplateException : SluiceException
{
    /// <summary>Creates the error at <paramref name="line"/>, <paramref name="column"/> (both from 1; 0 when unknown).</summary>
    public TemplateException(string message, int line = 0, int column = 0, Exception? inner = null)
        : base(line > 0 ? $"{message} (line {line}, column {column})" : message, inner)
    {
        Line = line;
        Column = column;
    }

    /// <summary>Line of the template, from 1; 0 when unknown.</summary>
    public int Line { get; }

    /// <summary>Column in <see cref="Line"/>, from 1; 0 when unknown.</summary>
    public int Column { get; }
}

/// <summary>A request cannot be served as asked: the caller's mistake, reported to the caller alone.</summary>
public sealed class RequestException : SluiceException
{
    /// <summary>Creates the error; <paramref name="parameter"/> names the offending field in the API's own words.</summary>
    public RequestException(string message, string? parameter = null, string code = "invalid_value", Exception? inner = null)
        : base(message, inner)
    {
        Parameter = parameter;
        Code = code;
    }

    /// <summary>The field at fault, or null when the request as a whole is.</summary>
    public string? Parameter { get; }

    /// <summary>A short, stable code, for example <c>context_length_exceeded</c>.</summary>
    public string Code { get; }
}

/// <summary>A device or backend failed or lacks what was asked of it.</summary>
public sealed class BackendException : SluiceException
{
    /// <summary>Creates the error.</summary>
    public BackendException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }

    /// <summary>Whether the device is lost to this process: every later operation on it would fail too.</summary>
    public bool IsDeviceLost { get; init; }
}

/// <summary>Why the engine did not finish a request that was valid.</summary>
public enum EngineFailure
{
    /// <summary>The queue is full; the same request may succeed later.</summary>
    Overloaded,

    /// <summary>The engine accepts no more requests, or stopped before this one was done.</summary>
    ShuttingDown,

    /// <summary>The model's logits for this request hold NaN or infinity, or nothing finite.</summary>
    InvalidLogits,

    /// <summary>The step that this request was part of failed.</summary>
    StepFailed,
}

/// <summary>The engine did not take or could not finish a request that is valid in itself. Not the caller's mistake.</summary>
public sealed class EngineException : SluiceException
{
    /// <summary>Creates the error.</summary>
    public EngineException(EngineFailure failure, string message, Exception? inner = null)
        : base(message, inner) => Failure = failure;

    /// <summary>What happened.</summary>
    public EngineFailure Failure { get; }
}
