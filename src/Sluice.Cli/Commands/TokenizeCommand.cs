using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Text;
using Spectre.Console;

namespace Sluice.Cli.Commands;

/// <summary><c>sluice tokenize</c>: shows how text, many strings, or a chat becomes token ids.</summary>
internal static class TokenizeCommand
{
    public static Command Create()
    {
        Option<string?> model = CommonOptions.Model();
        Option<string?> text = new("--text") { HelpName = "TEXT", Description = "One string." };
        Option<FileInfo?> file = new("--file") { HelpName = "strings.json", Description = "A JSON array of strings." };
        Option<FileInfo?> messages = new("--messages") { HelpName = "chat.json", Description = "A JSON array of messages, or an object with messages, tools and template arguments." };
        Option<bool> special = new("--special") { Description = "Recognise special tokens in --text and --file, as in text that a template wrote." };
        Option<bool> json = new("--json") { Description = "Print an array with one array of ids per string." };
        Command command = new("tokenize", "Turn text into token ids.") { model, text, file, messages, special, json };
        command.Validators.Add(result =>
        {
            int given = new Option[] { text, file, messages }.Count(option => result.GetResult(option) is not null);
            if (given != 1)
                result.AddError("tokenize takes one of --text, --file and --messages");
        });
        command.SetAction(parsed =>
        {
            string folder = ModelPath.Resolve(parsed.GetValue(model));
            Tokenizer tokenizer = Tokenizer.Load(folder);
            int[][] ids = parsed.GetValue(messages) is { } chat
                ? [tokenizer.Encode(Render(folder, chat.FullName))]
                : [.. Strings(parsed.GetValue(text), parsed.GetValue(file)).Select(s => tokenizer.Encode(s, parsed.GetValue(special)))];
            if (parsed.GetValue(json))
                Console.Out.WriteLine(JsonIds(ids));
            else
                Print(tokenizer, ids);
            return ExitCodes.Success;
        });
        return command;
    }

    private static IReadOnlyList<PromptSegment> Render(string folder, string path)
    {
        JsonObject inputs = JsonInput.Read(path) switch
        {
            JsonObject whole => whole,
            JsonArray list => new JsonObject { ["messages"] = list },
            _ => throw new ConfigurationException($"{path}: expected an array of messages or an object"),
        };
        inputs.TryAdd("add_generation_prompt", true);
        ChatTemplate template = ChatTemplate.Load(folder) ?? throw new ConfigurationException($"{folder} has no chat template");
        return template.Render(inputs);
    }

    private static IEnumerable<string> Strings(string? text, FileInfo? file)
    {
        if (file is null)
            return [text!];
        if (JsonInput.Read(file.FullName) is not JsonArray list)
            throw new ConfigurationException($"{file.FullName}: expected an array of strings");
        return list.Select((item, i) => item is JsonValue value && value.TryGetValue(out string? s)
            ? s
            : throw new ConfigurationException($"{file.FullName}: item {i} is not a string"));
    }

    private static string JsonIds(int[][] ids) => $"[{string.Join(',', ids.Select(list => $"[{string.Join(',', list)}]"))}]";

    private static void Print(Tokenizer tokenizer, int[][] ids)
    {
        foreach (int[] list in ids)
        {
            Table table = new Table().Border(TableBorder.Simple).AddColumn("id", column => column.RightAligned()).AddColumn("token");
            foreach (int id in list)
                table.AddRow(Markup.Escape(id.ToString(System.Globalization.CultureInfo.InvariantCulture)), Markup.Escape(JsonSerializer.Serialize(tokenizer.Decode([id]), CliJson.Default.String)));
            AnsiConsole.Write(table);
            Console.Out.WriteLine($"{list.Length} tokens");
        }
    }
}
