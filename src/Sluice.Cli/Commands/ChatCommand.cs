using System.CommandLine;
using Sluice.Cli.Chat;
using Sluice.Engine;
using Sluice.Text;

namespace Sluice.Cli.Commands;

/// <summary><c>sluice chat</c>: one answer, or a conversation.</summary>
internal static class ChatCommand
{
    public static Command Create()
    {
        Argument<string?> message = new("MESSAGE") { Arity = ArgumentArity.ZeroOrOne, Description = "Answer this and end. Without it, chat." };
        Option<string?> model = CommonOptions.Model();
        Option<string?> system = new("--system", "-s") { HelpName = "TEXT", Description = "System message." };
        Option<int?> maxTokens = new("--max-tokens", "-n") { HelpName = "N", Description = "Most tokens of an answer. Default: as many as fit." };
        ComputeFlags compute = new();
        Option<int> workers = CommonOptions.LoadWorkers();
        Option<long> memory = CommonOptions.Memory();
        SamplingFlags sampling = new();
        Command command = new("chat", "Chat with a model.") { message, model, system, maxTokens, workers, memory };
        compute.AddTo(command);
        sampling.AddTo(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            string folder = ModelPath.Resolve(parsed.GetValue(model));

            // The tokenizer is read while weights load: both take a good part of the time to the first answer.
            Task<(Tokenizer Tokenizer, ChatTemplate Template)> text = Task.Run(() => (Tokenizer.Load(folder), ChatRunner.TemplateOf(folder)), cancellation);
            await using ModelSession session = ModelSession.Load(
                new SessionOptions
                {
                    Folder = folder,
                    Compute = compute.Read(parsed),
                    LoadWorkers = parsed.GetValue(workers),
                    Memory = parsed.GetValue(memory),
                },
                cancellation);
            (Tokenizer tokenizer, ChatTemplate template) = await text;
            ChatRunner runner = new(session, tokenizer, template, sampling.Read(parsed, session.Defaults), parsed.GetValue(maxTokens));
            Conversation conversation = new(parsed.GetValue(system));
            if (parsed.GetValue(message) is not { } question)
            {
                await new InteractiveChat(runner, conversation, session).RunAsync();
                return ExitCodes.Success;
            }

            conversation.Add("user", question);
            Completion completion = await runner.AnswerAsync(conversation, Console.Out, cancellation);
            Console.WriteLine();
            return completion.Reason is FinishReason.Stop or FinishReason.Length ? ExitCodes.Success : ExitCodes.Failure;
        });
        return command;
    }
}
