using System.Buffers;
using System.Text;
using Sluice.Checkpoints.Gguf;
using Sluice.Core;
using Sluice.Text.Tokenization;

namespace Sluice.Text;

/// <summary>
/// A byte-level BPE tokenizer read from a <c>tokenizer.json</c>, or from the metadata of a GGUF file: the same ids and text as Hugging Face's tokenizers
/// library gives.
/// Immutable; any number of threads may use it.
/// </summary>
public sealed class Tokenizer
{
    private const string FileName = "tokenizer.json";

    private readonly Dictionary<string, int> _vocabulary;
    private readonly Dictionary<string, int> _addedIds;
    private readonly Dictionary<int, AddedToken> _added;
    private readonly TokenTable _bytes;
    private readonly AddedTokenSet _rawTokens;
    private readonly AddedTokenSet _normalizedTokens;
    private readonly bool _composes;
    private readonly PieceSplitter _splitter;
    private readonly PieceEncoder _pieces;

    private Tokenizer(TokenizerDefinition definition)
    {
        _composes = definition.Composes;
        if (_composes)
            Composition.RequireIcu();

        _vocabulary = definition.Vocabulary;
        _added = definition.AddedTokens.ToDictionary(token => token.Id);
        _addedIds = definition.AddedTokens.ToDictionary(token => token.Content, token => token.Id, StringComparer.Ordinal);
        _rawTokens = new AddedTokenSet(definition.AddedTokens.Where(token => !token.Normalized).Select(token => (token.Content, token)));
        _normalizedTokens = new AddedTokenSet(definition.AddedTokens.Where(token => token.Normalized).Select(token => (InText(token), token)));
        _bytes = new TokenTable(
            [
                .. _vocabulary.Where(entry => !_added.ContainsKey(entry.Value)),
                .. definition.AddedTokens.Select(token => KeyValuePair.Create(InText(token), token.Id)),
            ],
            definition.IdCount);
        _splitter = new PieceSplitter(definition.SplitPatterns);
        _pieces = new PieceEncoder(definition);
    }

    /// <summary>The highest id plus one. Ids below it need not all be in use.</summary>
    public int VocabularySize => _bytes.Count;

    /// <summary>Whether Microsoft.ML.Tokenizers merges, or the file's rules need the general way.</summary>
    internal bool UsesLibrary => _pieces.UsesLibrary;

    /// <summary>Reads a checkpoint's tokenizer: the <c>tokenizer.json</c> of a folder, or what a GGUF file says.</summary>
    /// <exception cref="TokenizerException">The file cannot be read, is malformed, or asks for what is not implemented.</exception>
    /// <exception cref="CheckpointException">A GGUF file breaks its format.</exception>
    public static Tokenizer Load(string path) => File.Exists(path)
        ? FromGguf(GgufText.Read(path))
        : Parse(ReadFile(Path.Combine(path, FileName)));

    /// <summary>A tokenizer of what a GGUF file says.</summary>
    /// <exception cref="TokenizerException">It contradicts itself, or asks for what is not implemented.</exception>
    public static Tokenizer FromGguf(GgufText text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return new Tokenizer(TokenizerGguf.Read(text));
    }

    /// <summary>Reads the content of a <c>tokenizer.json</c>.</summary>
    /// <exception cref="TokenizerException">It is malformed, or asks for what is not implemented.</exception>
    public static Tokenizer Parse(ReadOnlyMemory<byte> tokenizerJson) => new(TokenizerJson.Read(tokenizerJson));

    /// <summary>Encodes text.</summary>
    /// <param name="text">Any text; a surrogate without a partner counts as U+FFFD.</param>
    /// <param name="parseSpecial">Whether added tokens are recognised in the text. Never true for text from users.</param>
    /// <exception cref="TokenizerException">A split pattern from the file takes too long on this text.</exception>
    public int[] Encode(string text, bool parseSpecial = false)
    {
        text = UnicodeText.ReplaceLoneSurrogates(text);
        return NewEncoder().Encode(text, parseSpecial ? [0..text.Length] : []);
    }

    /// <summary>
    /// Encodes a rendered prompt. An added token is recognised only where the template wrote every character of it; all text between
    /// two recognised tokens is encoded as one run, whoever wrote it.
    /// </summary>
    /// <exception cref="TokenizerException">A split pattern from the file takes too long on this text.</exception>
    public int[] Encode(IReadOnlyList<PromptSegment> prompt)
    {
        var text = new StringBuilder();
        var trusted = new List<Range>();
        foreach (PromptSegment segment in prompt)
        {
            int start = text.Length;
            text.Append(segment.Text);
            if (!segment.FromTemplate || segment.Text.Length == 0)
                continue;

            if (trusted.Count > 0 && trusted[^1].End.Value == start)
                trusted[^1] = trusted[^1].Start..text.Length;
            else
                trusted.Add(start..text.Length);
        }

        string joined = UnicodeText.ReplaceLoneSurrogates(text.ToString());
        for (int i = 0; i < trusted.Count; i++)
            trusted[i] = UnicodeText.WholeCharacters(joined, trusted[i]);
        return NewEncoder().Encode(joined, trusted);
    }

    /// <summary>Decodes ids to text. Bytes that are no UTF-8 become U+FFFD; unknown ids stand for nothing.</summary>
    /// <param name="ids">Ids in order.</param>
    /// <param name="skipSpecial">Whether special tokens are left out.</param>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecial = false)
    {
        var bytes = new ArrayBufferWriter<byte>(Math.Max(ids.Length, 1) * 4);
        foreach (int id in ids)
        {
            if (!skipSpecial || !IsSpecial(id))
                bytes.Write(_bytes[id]);
        }

        return Encoding.UTF8.GetString(bytes.WrittenSpan);
    }

    /// <summary>The bytes a token stands for when decoded, which may be part of a character; none for an unknown id.</summary>
    public ReadOnlySpan<byte> TokenBytes(int id) => _bytes[id];

    /// <summary>Whether the id is an added token that controls the model rather than being part of its text.</summary>
    public bool IsSpecial(int id) => _added.TryGetValue(id, out AddedToken? token) && token.Special;

    /// <summary>Whether the id is an added token, special or not.</summary>
    public bool IsAdded(int id) => _added.ContainsKey(id);

    /// <summary>Finds the id of an added token by its text, or of a vocabulary entry as the file spells it.</summary>
    public bool TryGetId(string token, out int id) => _addedIds.TryGetValue(token, out id) || _vocabulary.TryGetValue(token, out id);

    /// <summary>
    /// What a GGUF file must say for its tokenizer and chat template to be those of a checkpoint; null when a folder has no <c>tokenizer.json</c>, a file no vocabulary.
    /// </summary>
    /// <param name="path">A folder, or a GGUF file.</param>
    /// <param name="vocabularySize">Ids the model has.</param>
    /// <exception cref="SluiceException">A file cannot be read or is malformed, or GGUF files cannot say what the tokenizer does.</exception>
    public static GgufText? DescribeForGguf(string path, int vocabularySize)
    {
        if (File.Exists(path))
            return GgufText.ReadOptional(path);
        string file = Path.Combine(path, FileName);
        if (!File.Exists(file))
            return null;
        TokenizerDefinition definition = TokenizerJson.Read(ReadFile(file));
        GgufText text = TokenizerGguf.Write(definition, vocabularySize);
        if (ChatTemplate.Load(path) is not { } chat)
            return text;
        Dictionary<string, int> special = new(StringComparer.Ordinal);
        foreach (AddedToken token in definition.AddedTokens)
        {
            foreach ((string name, _) in chat.SpecialTokens.Where(named => named.Value == token.Content))
                special[name] = token.Id;
        }

        return text with { ChatTemplate = chat.Source, ToolTemplate = chat.ToolUseSource, SpecialTokens = special };
    }

    /// <summary>
    /// What a folder's <c>tokenizer.json</c> and <c>tokenizer_config.json</c> must be for its tokenizer and chat template to be those of a GGUF file, by name; none for a
    /// folder, which has its own, nor for a file without a vocabulary.
    /// </summary>
    /// <param name="path">A GGUF file, or a folder.</param>
    /// <exception cref="SluiceException">The file cannot be read or is malformed, or no tokenizer.json that is read here can say what its tokenizer does.</exception>
    public static IReadOnlyDictionary<string, byte[]> DescribeForFolder(string path)
    {
        Dictionary<string, byte[]> files = new(StringComparer.Ordinal);
        if (File.Exists(path) && GgufText.ReadOptional(path) is { } text)
            (files[FileName], files[ChatTemplate.ConfigFile]) = FolderText.Of(text);
        return files;
    }

    private static byte[] ReadFile(string path)
    {
        try
        {
            var file = new FileInfo(path);
            if (file.Exists && file.Length > TokenizerJson.MaxFileBytes)
                throw new TokenizerException($"{path}: expected at most {TokenizerJson.MaxFileBytes} bytes, found {file.Length}");
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TokenizerException($"{path}: {e.Message}", e);
        }
    }

    // An added token as it is found in text, and as it decodes.
    private string InText(AddedToken token) => token.Normalized && _composes ? Composition.Compose(token.Content) : token.Content;

    private PromptEncoder NewEncoder() => new(_rawTokens, _normalizedTokens, _composes, _splitter, _pieces);
}
