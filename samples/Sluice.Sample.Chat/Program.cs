using System.ComponentModel;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

// The demonstration model in this process; options => options.ModelFolder = "..." takes another.
await using ServiceProvider services = new ServiceCollection().AddSluice().BuildServiceProvider();
using IChatClient chat = services.GetRequiredService<IChatClient>().AsBuilder().UseFunctionInvocation().Build();

ChatOptions options = new() { Temperature = 0, Tools = [AIFunctionFactory.Create(GetTime, "get_time")] };
List<ChatMessage> conversation = [];
foreach (string question in (string[])["What time is it in Lisbon?", "What does Path.GetTempPath do?"])
{
    Console.WriteLine($"> {question}");
    conversation.Add(new ChatMessage(ChatRole.User, question));
    List<ChatResponseUpdate> answer = [];
    await foreach (ChatResponseUpdate update in chat.GetStreamingResponseAsync(conversation, options))
    {
        Console.Write(update.Text);
        answer.Add(update);
    }

    Console.WriteLine();
    conversation.AddMessages(answer);
}

[Description("Get the local time of a city.")]
static object GetTime(string city) => new { time = city == "Lisbon" ? "14:05" : "12:00" };
