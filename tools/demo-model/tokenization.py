"""The model's tokenizer, trained on its own chats, and the rendering of a chat to text."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import jinja2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import chats

VOCABULARY = 4096  # byte-level BPE tokens, before the special ones
SAMPLE_SEED = 7
SAMPLE_CHATS = 30_000

END_OF_TEXT, MESSAGE_START, MESSAGE_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, MESSAGE_START, MESSAGE_END)
# Single tokens, but part of the visible text: parsers look for them.
MARKUP_TOKENS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")

# The pre-tokenizer of Qwen: contractions, words, single digits, punctuation, white space.
SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def renderer() -> Callable[..., str]:
    """A function `render(chat, generate=False)` from a chat to text, by the rules of transformers' chat templates."""
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    template = environment.from_string(chats.TEMPLATE)

    def render(chat: dict, generate: bool = False) -> str:
        return template.render(messages=chat["messages"], tools=chat.get("tools"), add_generation_prompt=generate)

    return render


def sample_texts() -> list[str]:
    """What the merges are learned from: chats without their markup, and every fact with its full name."""
    r, render = random.Random(SAMPLE_SEED), renderer()
    markup = re.compile(r"<\|[a-z_]+\|>|</?tool[a-z_]*>")
    texts = [markup.sub("\n", render(chats.chat(r))) for _ in range(SAMPLE_CHATS)]
    return texts + [f"{fact['full']} {fact['summary']} {fact['returns']}" for fact in chats.FACTS]


def build(path: Path) -> Tokenizer:
    """Trains the tokenizer and writes it to `path` (tokenizer.json)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT_PATTERN), "isolated", False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator(sample_texts(), trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in MARKUP_TOKENS])
    tokenizer.save(str(path))
    return tokenizer
