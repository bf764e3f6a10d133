using System.CommandLine;
using System.Text;
using Sluice.Cli;
using Sluice.Cli.Commands;
using Sluice.Cli.Terminal;
using Sluice.Core;

Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);

RootCommand root = new("Sluice runs hybrid language models (Qwen3-Next, Qwen3.5 and kin) on your own machine.")
{
    ChatCommand.Create(),
    GenerateCommand.Create(),
    ServeCommand.Create(),
    InspectCommand.Create(),
    VerifyCommand.Create(),
    QuantizeCommand.Create(),
    TokenizeCommand.Create(),
    TemplateCommand.Create(),
    BenchCommand.Create(),
    BenchEngineCommand.Create(),
    BenchServerCommand.Create(),
    CacheCommand.Create(),
};

try
{
    // Commands that run for long decide for themselves what Ctrl-C means.
    return await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
}
catch (CheckpointException error) when (error.Problems.Count > 0)
{
    ErrorLine.Write(error.Message);
    foreach (string problem in error.Problems)
        Console.Error.WriteLine($"  {problem}");
    return ExitCodes.Failure;
}
catch (SluiceException error)
{
    ErrorLine.Write(error.Message);
    return ExitCodes.Failure;
}
catch (Exception error) when (error is IOException or UnauthorizedAccessException)
{
    ErrorLine.Write(error.Message);
    return ExitCodes.Failure;
}
catch (OperationCanceledException)
{
    return ExitCodes.Interrupted;
}
