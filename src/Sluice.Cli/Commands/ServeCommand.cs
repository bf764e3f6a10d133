using System.CommandLine;
namespace Sluice.Cli.Commands;
internal static class ServeCommand { public static Command Create() => new("serve", "x"); }
