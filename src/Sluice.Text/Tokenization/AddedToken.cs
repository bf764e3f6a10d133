namespace Sluice.Text.Tokenization;

/// <summary>A token recognised in text as a whole, before any splitting and merging. The flags are tokenizer.json's.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">Its text; never empty.</param>
/// <param name="Special">Whether it controls the model rather than being part of its text.</param>
/// <param name="SingleWord">Whether it is recognised only where no word character touches it.</param>
/// <param name="StripsLeft">Whether it takes the white space before it.</param>
/// <param name="StripsRight">Whether it takes the white space after it.</param>
/// <param name="Normalized">Whether it is looked for in normalized text rather than in the text as given.</param>
internal sealed record AddedToken(
    int Id, string Content, bool Special, bool SingleWord, bool StripsLeft, bool StripsRight, bool Normalized);
