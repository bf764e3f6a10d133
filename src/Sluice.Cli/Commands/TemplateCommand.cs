using System.CommandLine;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Text.Jinja;

namespace Sluice.Cli.Commands;

/// <summary><c>sluice template</c>: renders a chat template, for people who write or debug one.</summary>
internal static class TemplateCommand
{
    public static Command Create()
    {
        Option<FileInfo> file = new("--file") { HelpName = "X.jinja", Description = "The template.", Required = true };
        Option<FileInfo> input = new("--input") { HelpName = "case.json", Description = "A JSON object: messages, tools, add_generation_prompt and whatever else the template reads.", Required = true };
        Command command = new("template", "Render a chat template and print exactly what it gives.") { file, input };
        command.SetAction(parsed =>
        {
            string path = parsed.GetRequiredValue(input).FullName;
            JsonObject inputs = JsonInput.Read(path) as JsonObject ?? throw new ConfigurationException($"{path}: expected a JSON object");
            JinjaTemplate template = JinjaTemplate.Parse(File.ReadAllText(parsed.GetRequiredValue(file).FullName));
            Console.Out.Write(template.RenderText(inputs));
            Console.Out.Flush();
            return ExitCodes.Success;
        });
        return command;
    }
}
