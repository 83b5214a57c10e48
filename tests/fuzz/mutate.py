"""Damaged files, by a seed: values of other types and sizes, keys and words that are missing, texts that are cut."""

import copy
import json
import random
import re
from typing import Any

#: What stands for the address and the file that nothing may touch; :func:`mutated` fills them in.
URL, FILE = "<url>", "<file>"
#: A number that Python writes and JSON does not have.
NAN = float("nan")

_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 3, 5, 7, 255, 10**4, 10**6, 10**9, -(10**9), 2**63, 10**400, 0.5, -0.5, 1e-30, 1e30,
    NAN, float("inf"), "", "a", "5", "x" * 10_000, "\x1b[2J", "\x00", "\ud800", "a\nb", "../../x", "/", FILE, URL,
    "hf-hub:a/b", f"local-dir:{FILE}", "resnet18", "test_vit", "fcos", "mask_rcnn", "upernet", [], {}, [[]], [None],
    [0], [1, 2], [1, 2, 3], [0.5] * 3, [10**9] * 3, ["a"], ["a", "b"], [0] * 10_000, ["a"] * 10_000, {"a": 1},
    {"url": URL}, {"pretrained": True, "pretrained_cfg": {"url": URL, "file": FILE}}, {"checkpoint_path": FILE},
    {"depths": [10**6] * 4}, {"dims": [10**6] * 4}, {"num_classes": 10**9}, {"channels": 10**6},
]  # fmt: skip


def mutated(value: Any, seed: int, url: str, file: str) -> bytes:
    """A text like the JSON of ``value`` with one to three changes; the same for the same seed."""
    rng = random.Random(seed)
    changed = copy.deepcopy(value)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        changed = _change(changed, rng)
    text = json.dumps(changed).replace(URL, url).replace(FILE, file).encode()
    if rng.random() < 0.1:
        text = _damaged(text, rng)
    return text


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The keys and indices that lead to each value inside ``value``."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    places = [place]
    for key, item in items:
        places += _places(item, (*place, key))
    return places


def _change(value: Any, rng: random.Random) -> Any:
    *groups, leaf = rng.choice(_places(value)) or [None]
    if leaf is None:  # the whole
        return copy.deepcopy(rng.choice(_VALUES)) if rng.random() < 0.3 else value
    group = value
    for key in groups:
        group = group[key]
    kind = rng.random()
    if kind < 0.15:
        del group[leaf]
    elif kind < 0.25 and isinstance(group[leaf], int | float):
        group[leaf] = group[leaf] * rng.choice([-1, 0, 2, 10, 10**5, 10**12]) + rng.choice([0, 1, 0.5])
    elif kind < 0.3:
        for _ in range(rng.choice([1, 5, 50])):
            group[leaf] = [group[leaf]]
    elif kind < 0.35 and isinstance(group, list):
        group += [group[leaf]] * rng.choice([1, 100])
    elif kind < 0.4 and isinstance(group, dict):
        group[rng.choice(["", "a", "__class__", "\x1b[31m", str(leaf) * 2])] = copy.deepcopy(rng.choice(_VALUES))
    elif kind < 0.5:
        group[leaf] = copy.deepcopy(rng.choice([_at(value, place) for place in _places(value)]))
    else:
        group[leaf] = copy.deepcopy(rng.choice(_VALUES))
    return value


def _at(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        value = value[key]
    return value


def _damaged(text: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(text) + 1)
    return rng.choice([
        text[:at],
        text[:at] + b"[" * 100_000 + text[at:],
        text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :],
        text[:at] + b"9" * 10_000 + text[at:],
        b"\xff\xfe" + text,
        b"\xef\xbb\xbf" + text,
        text + text,
        b"",
    ])  # fmt: skip


#: What a word of a text becomes.
_WORDS = [
    "", "0", "-1", "1e9", "-1e308", "nan", "inf", "1e400", "9" * 5000, "0x10", "1,5", "a", "x" * 10_000, "\x00",
    "\x1b[2J", "\ud800", "../../x", "C:\\x", "/", FILE, URL, "<", ">", "&", "&amp;", "&x;",
    "<!DOCTYPE a [<!ENTITY x SYSTEM 'y'>]>", "]]>", "<a>", "</a>", "<!--", '"', "'", ";", "|", ",", "\t", "\n", "\r",
    "!!python/object/apply:os.system [ls]", "{", "[", ": ", "- ",
]  # fmt: skip
_WORD = re.compile(r"[\w.+-]+|[^\w\s]")


def damaged_text(text: str, seed: int, url: str, file: str) -> bytes:
    """A text with one to four of its words changed, left out, exchanged or repeated; the same for the same seed."""
    rng = random.Random(seed)
    for _ in range(rng.choice([1, 1, 2, 4])):
        words = list(_WORD.finditer(text))
        if not words:
            break
        word, kind = rng.choice(words), rng.random()
        if kind < 0.6:
            new = rng.choice(_WORDS)
        elif kind < 0.8:
            new = rng.choice(words)[0]
        else:
            end = min(len(text), word.start() + rng.choice([1, 10, 100, 1000]))
            part = text[word.start() : end]
            text = text[: word.start()] + part * rng.choice([0, 2, 50]) + text[end:]
            continue
        text = text[: word.start()] + new + text[word.end() :]
    content = text.replace(URL, url).replace(FILE, file).encode("utf-8", "surrogatepass")
    return _damaged(content, rng) if rng.random() < 0.1 else content
