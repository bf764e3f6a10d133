// Makes tokenizer_cases.json.gz: what Hugging Face's tokenizers library does with small made-up tokenizers.
//   npm install tokenizers@0.23.2 && node make-tokenizer-cases.mjs
import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import { writeFileSync } from 'node:fs';

const { Tokenizer } = createRequire(process.cwd() + '/')('tokenizers');

let state = 20260101;
const random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const below = n => Math.floor(random() * n);
const pick = list => list[below(list.length)];
const chance = p => random() < p;
const shuffle = list => {
  for (let i = list.length - 1; i > 0; i--) {
    const j = below(i + 1);
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
};

// GPT-2's alphabet.
const alphabet = [];
for (let value = 0, next = 256; value < 256; value++) {
  const printable = (value >= 33 && value <= 126) || (value >= 161 && value <= 172) || value >= 174;
  alphabet.push(String.fromCharCode(printable ? value : next++));
}

const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };
const split = pattern => ({ type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false });
const qwen2 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const qwen35 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const llama3 = qwen2.replace('|\\p{N}|', '|\\p{N}{1,3}|');
const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

function file(vocab, merges, { added = [], ignoreMerges = false, pre = [split(qwen2)], pairs = true, normalizer = { type: 'NFC' } } = {}) {
  return {
    version: '1.0', truncation: null, padding: null, added_tokens: added, normalizer,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [...pre, byteLevel] }, post_processor: byteLevel, decoder: byteLevel,
    model: {
      type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: false,
      byte_fallback: false, ignore_merges: ignoreMerges, vocab, merges: pairs ? merges : merges.map(m => m.join(' ')),
    },
  };
}

// Merge lists of every temper: as training makes them, in any order, several rules for a product, rules twice, tokens no rule makes.
function model(letters, count) {
  const tokens = [...alphabet];
  const merges = [];
  const orderly = chance(0.5);
  const parts = [...letters].flatMap(c => [...Buffer.from(c)].map(b => alphabet[b]));
  const known = new Set(parts);
  for (let tries = 0; merges.length < count && tries < 1000; tries++) {
    const list = [...known];
    const pair = [pick(list), pick(list)];
    const product = pair.join('');
    if (product.length > 12 || (known.has(product) && orderly)) continue;
    if (!known.has(product)) tokens.push(product);
    known.add(product);
    merges.push(pair);
  }
  if (!orderly) {
    shuffle(merges);
    for (let i = 0; i < 3; i++) merges.push(pick(merges));
  }
  for (let i = 0; i < 3; i++) {
    const token = Array.from({ length: 2 + below(4) }, () => pick(parts)).join('');
    if (!tokens.includes(token)) tokens.push(token);
  }
  const ids = tokens.map((_, i) => i);
  if (chance(0.5)) shuffle(ids);
  return { vocab: Object.fromEntries(tokens.map((t, i) => [t, ids[i]])), merges, size: tokens.length };
}

const textOf = (parts, length) => Array.from({ length }, () => pick(parts)).join('');

async function run(json, texts) {
  const tokenizer = Tokenizer.fromString(JSON.stringify(json));
  const cases = [];
  for (const text of texts) {
    const ids = (await tokenizer.encode(text)).getIds();
    cases.push({ text, ids, decoded: await tokenizer.decode(ids, false), skipped: await tokenizer.decode(ids, true) });
  }
  return { tokenizer: json, cases };
}

const tokenizers = [];

for (let i = 0; i < 60; i++) {
  const letters = pick(['ab', 'abc', 'a', 'abcdef', 'aé', 'a我', 'ab ']);
  const { vocab, merges } = model(letters, pick([3, 8, 20, 60]));
  const json = file(vocab, merges, { ignoreMerges: chance(0.3), pairs: chance(0.5) });
  tokenizers.push(await run(json, Array.from({ length: 20 }, (_, k) => textOf([...letters, ...(k % 4 ? [] : [' ', '1', '\n', '!'])], 1 + below(k < 16 ? 16 : 90)))));
}

for (let i = 0; i < 60; i++) {
  const { vocab, merges, size } = model('abe', 12);
  const contents = shuffle(['<a>', '<ab>', 'b', 'e\u0301', '\u00e9', 'é<', ' x', 'x ', '<|end|>', '<|', 'a_', '中', '\n\n', 'Ġa', 'ee', '😀', '𝒜', '  ']).slice(0, 1 + below(8));
  const added = contents.map((content, k) => ({
    id: vocab[content] ?? size + k, content, single_word: chance(0.3), lstrip: chance(0.3), rstrip: chance(0.3), normalized: chance(0.4), special: chance(0.5),
  }));
  // A special token that normalizing changes is not left out of decoded text by the library: a slip of its own.
  for (const token of added) token.special &&= !(token.normalized && token.content.normalize() !== token.content);
  // The library numbers added tokens itself; keep to its numbers, so that the file says what it does.
  let next = size;
  for (const token of added) if (vocab[token.content] === undefined) token.id = next++;
  const json = file(vocab, merges, { added, normalizer: chance(0.7) ? { type: 'NFC' } : null });
  const parts = [...contents, ...contents, 'a', 'b', 'e', '\u0301', ' ', '  ', '\t', '\u3000', '_', '9', '-', 'x', '𝒜', '😀', '\u200d', 'Ⓐ', 'é', '\n'];
  tokenizers.push(await run(json, Array.from({ length: 25 }, () => textOf(parts, 1 + below(14)))));
}

// Splitting alone.
const patterns = [
  [qwen2], [qwen35], [llama3], [gpt2],
  // o200k
  ["[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"],
  // DeepSeek V3
  ['\\p{N}{1,3}', '[一-龥\u3040-ゟ゠-ヿ]+', "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"],
  // cl100k as OpenAI writes it, possessive
  ["'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++(?!\\S)|\\s*[\\r\\n]|\\s+".replace('{1,3}+', '{1,3}')],
  ['(?i:k|le)+|(?<=a)b|(?<!a)c|x*?y|(?>a+)b'], ['\\d{2,3}|\\D'], ['[^\\p{^L}]+'], ['\\P{L}+|.'], ['[-a]+|[b-]+|\\u0065|\\x66'], ['(?=a)|b{2}'],
];
const unusual = [
  "'s", "'S", "'\u017f", "'ll", "'LL", "'Re", 'K', '\u212a', 'k', 'le', 'ab', 'aab', 'cb', 'xxy', 'e', 'f', '-', 'a', 'b', 'bb', 'Z', ' ', '  ', '\n', '\r\n', '\t', '\u00a0', '\u3000', '\u2028', '\u0085',
  '1', '22', '333', '٣', 'Ⅷ', '½', '𝟘', '𝟙', '𐌰', '𝒜', '𝐛', '𠀀', '😀', '👨‍👩‍👧', '🇩🇪', '\u{1e000}', '\u{e0001}', '\u{f0000}', '\u{10ffff}', '\u{1d165}', '\u{10ead}', '\u{1f8ff}',
  '我', '们', 'ひ', 'カ', 'ー', '한', 'é', 'e\u0301', 'ا', 'َ', 'ह', 'ि', '्', 'ไ', 'ท', '่', 'א', 'ǅ', 'ʰ', 'ª', '!', '"', '#', '$', '€', '+', '…', '«', '»', '_', '‿', '(', ')', '[', '\\', '~', '/',
  '\u200b', '\u200d', '\ufeff', '\u0000', '\u001c', '\u007f', '\ufffd', '\ufffe', '\uffff', '\ue000', '\u0378',
];
const splits = [];
for (const chain of patterns) {
  const json = file({ a: 0 }, [], {});
  json.pre_tokenizer = { type: 'Sequence', pretokenizers: chain.map(split) };
  const pre = Tokenizer.fromString(JSON.stringify(json)).getPreTokenizer();
  const texts = Array.from({ length: 150 }, () => textOf(unusual, 1 + below(16)));
  splits.push({ patterns: chain, cases: texts.map(text => ({ text, pieces: pre.preTokenizeString(text).map(([piece]) => piece) })) });
}

// Composing alone: every character whose normalization could matter, between marks of several combining classes, and its decomposition.
const { nfcNormalizer } = createRequire(process.cwd() + '/')('tokenizers');
const nfc = nfcNormalizer();
const compositions = [];
let row = '';
for (let code = 0xa0; code < 0x110000; code++) {
  if (code >= 0xd800 && code < 0xe000) continue;
  const c = String.fromCodePoint(code);
  const apart = c.normalize('NFD');
  if (apart === c && ('\u0345' + c).normalize('NFD') === '\u0345' + c && (c + '\u0334').normalize() === c + '\u0334' && !/\p{M}/u.test(c)) continue;
  if (code >= 0xac00 && code <= 0xd7a3 && code % 97) continue;
  row += `${c}\u0334 \u0345${c} a\u0301${c}\u0323 ${apart} ${apart}\u0301\u0323\n`;
  if (row.length > 4000) {
    compositions.push([row, nfc.normalizeString(row)]);
    row = '';
  }
}
compositions.push([row, nfc.normalizeString(row)]);

const about = "Made by make-tokenizer-cases.mjs with Hugging Face's tokenizers 0.23.2 (npm). Special tokens parsed; 'skipped' leaves them out.";
const out = gzipSync(JSON.stringify({ about, tokenizers, splits, compositions }), { level: 9 });
writeFileSync(new URL('tokenizer_cases.json.gz', import.meta.url), out);
console.log(`${tokenizers.length} tokenizers, ${splits.length} patterns, ${compositions.length} rows of composition, ${out.length} bytes`);
