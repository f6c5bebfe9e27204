"""Odd texts, the same at each run: what people paste and what no front end may hang at."""

from __future__ import annotations

import random

ALWAYS = [
    "",
    " ",
    "\n\t\n",
    "\0",
    "…",
    "?!?!",
    "🙂",
    "👨‍👩‍👧‍👦 🇩🇪",
    "1",
    "0/0 1/0 3/4",
    "$,.1 $1.2.3 £, 50%% .5",
    "-5 5- 1-2-3",
    "²³½ ٣٤ ௧ Ⅷ ①",
    "a",
    "I",
    "A",
    "M.",
    "é",
    "ß",
    "ㅋㅋㅋ",
    "ー",
    "っっっ",
    "々々",
    "一一一",
    "不",
    "儿",
    "𠀀𪚥",
    "<|endoftext|> <|en|> hello",
    "{AH0 B} @AA _ | || ¯\\_(ツ)_/¯",
    "(fr) (en) ((a))",
    "Ａｂｃ　１２３",
    "e\u0301\u0301\u0301 Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G",
    "مرحبا שלום Привет नमस्ते สวัสดี",
    "\ud800 half a pair",
    "word " * 2000,
    "a" * 10_000,
    "." * 10_000,
    "9" * 10_000,
    "你好。" * 3333,
    "字" * 10_000,
    "こんにちは" * 2000,
    "안녕" * 5000,
    "a." * 5000,
    "1/2 " * 2500,
    "'" * 10_000,
    " " * 10_000,
    "A1你" * 3000,
]
_ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyz ",
    "ABCDEFGHIJ XYZ",
    "0123456789.,-/%$£ ",
    ".,?!;:'\"…—()[]{}<>|_@#&*+~^ ",
    "你好世界不一儿了的行长看重 ",
    "あいうえおカキクケコッャュョー々 ",
    "안녕하세요반갑습니다漢字 ",
    "éèàçœùïâêäöüß ",
    "\0\x01\x07\x1b\x7f\x85\u200b\u200d\u2028\u2029\ufeff\n\r\t",
    "🙂🎵👍🏽❤️🇫🇷",
    "ПриветΩλمرحבשنนม",
]


def spaced(phones: str) -> list[str]:
    """Phones written with spaces between them."""
    return phones.split(" ")


def texts(count: int) -> list[str]:
    """``ALWAYS`` and random mixtures of scripts, ``count`` in all."""
    rng = random.Random(15)
    found = list(ALWAYS)
    while len(found) < count:
        mixed = "".join(rng.sample(_ALPHABETS, rng.choice([1, 1, 2, 3])))
        found.append("".join(rng.choice(mixed) for _ in range(rng.randrange(1, 60))))
    return found
