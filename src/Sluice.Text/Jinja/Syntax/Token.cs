namespace Sluice.Text.Jinja;

/// <summary>A place in the template's source, from line 1 and column 1.</summary>
internal readonly record struct Position(int Line, int Column);

internal enum TokenKind
{
    End,
    Data,
    BlockBegin,
    BlockEnd,
    VariableBegin,
    VariableEnd,
    Name,
    String,
    Integer,
    Float,
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Modulo,
    Power,
    Tilde,
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Assign,
    Dot,
    Colon,
    Comma,
    Semicolon,
    Pipe,
    LeftParenthesis,
    RightParenthesis,
    LeftBracket,
    RightBracket,
    LeftBrace,
    RightBrace,
}

/// <summary>
/// One token. <paramref name="Text"/> is what it stands for: a string's characters after its escapes, a number without its
/// underscores, template data after whitespace control.
/// </summary>
internal readonly record struct Token(TokenKind Kind, string Text, Position At)
{
    public bool IsName(string name) => Kind == TokenKind.Name && string.Equals(Text, name, StringComparison.Ordinal);

    /// <summary>How an error message calls the token.</summary>
    public string Describe() => Kind switch
    {
        TokenKind.End => "end of template",
        TokenKind.BlockEnd => "end of statement block",
        TokenKind.VariableEnd => "end of print statement",
        TokenKind.Data => "template text",
        TokenKind.String => "string",
        _ => $"'{Text}'",
    };
}
