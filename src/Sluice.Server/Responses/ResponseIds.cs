namespace Sluice.Server.Responses;

/// <summary>Ids of responses and their items, which tell by their beginning what they are of.</summary>
internal static class ResponseIds
{
    public static string Response() => $"resp_{Guid.NewGuid():N}";

    public static string Message() => $"msg_{Guid.NewGuid():N}";

    public static string Reasoning() => $"rs_{Guid.NewGuid():N}";

    public static string Call() => $"fc_{Guid.NewGuid():N}";

    /// <summary>An id for an item of a type.</summary>
    public static string Of(string type) => type switch
    {
        "message" => Message(),
        "reasoning" => Reasoning(),
        "function_call" => Call(),
        _ => $"item_{Guid.NewGuid():N}",
    };
}
