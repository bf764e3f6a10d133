"""Training data: chats rendered, tokenised and packed into rows of equal length, by several processes."""

import multiprocessing
import os
import random
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

import chats
from tokenization import END_OF_TEXT, MESSAGE_END, MESSAGE_START, renderer

STREAMS = 15  # random streams, one for each process; part of the recipe, whatever the number of cores
FIRST_SEED = 100


class Stream(NamedTuple):
    """The share of one process."""

    seed: int
    count: int  # chats
    length: int  # tokens of a row that are predicted
    tokenizer: Path


def answer_mask(ids: list[int], header: list[int], end: int) -> np.ndarray:
    """1 for every token of an assistant's message, its end token included, 0 for the rest.

    `header` is what opens such a message.
    """
    mask = np.zeros(len(ids), np.uint8)
    i = 0
    while i < len(ids):
        if ids[i:i + len(header)] == header:
            start = i + len(header)
            i = ids.index(end, start)
            mask[start:i + 1] = 1
        i += 1
    return mask


def pack_stream(stream: Stream) -> tuple[np.ndarray, np.ndarray]:
    """Rows of token ids, int16 [rows, length + 1], and their answer masks, uint8 of the same shape.

    Chats follow each other in a row, each closed by the end-of-text token. A chat is never cut: one that does not fit
    starts the next row, and one longer than a row is dropped. So is a row that would be padded by half or more.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = Tokenizer.from_file(str(stream.tokenizer))
    render, r = renderer(), random.Random(stream.seed)
    message_end, text_end = tokenizer.token_to_id(MESSAGE_END), tokenizer.token_to_id(END_OF_TEXT)
    header = [tokenizer.token_to_id(MESSAGE_START), *tokenizer.encode("assistant\n").ids]
    width = stream.length + 1

    rows, masks = [], []
    row: list[int] = []
    row_mask: list[int] = []
    for encoding in tokenizer.encode_batch([render(chats.chat(r)) for _ in range(stream.count)]):
        ids = encoding.ids + [text_end]
        mask = answer_mask(ids, header, message_end)
        if len(row) + len(ids) > width:
            padding = width - len(row)
            if padding < stream.length // 2:
                rows.append(row + [text_end] * padding)
                masks.append(row_mask + [0] * padding)
            row, row_mask = [], []
        if len(ids) <= width:
            row += ids
            row_mask += mask.tolist()
    return np.array(rows, np.int16), np.array(masks, np.uint8)


def pack(tokenizer: Path, count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows and masks of about `count` chats, all streams one after the other."""
    streams = [Stream(FIRST_SEED + i, count // STREAMS, length, tokenizer) for i in range(STREAMS)]
    with multiprocessing.Pool(STREAMS) as pool:
        parts = pool.map(pack_stream, streams)
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([masks for _, masks in parts])
