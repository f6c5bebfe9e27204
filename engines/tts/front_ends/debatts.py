"""The text front end of DebaTTS: Mandarin alone, in the phones of MaskGCT, without tone changes."""

from __future__ import annotations

import re
from typing import Any

from engines.tts.front_ends.bopomofo import HANZI, hanzi_and_marks, to_phonemes, with_first_tone
from engines.tts.front_ends.chinese import words
from engines.tts.front_ends.maskgct import Phones, known_ids
from engines.tts.front_ends.tables import library, nothing_to_say

BETWEEN = 4
"""The id between the transcript of the reference and the text to speak."""


def phones(text: str) -> Phones:
    """Phones of Mandarin ``text``; Latin letters are left out."""
    text_of_hanzi = hanzi_and_marks(text)
    if not HANZI.search(text_of_hanzi):
        raise nothing_to_say(text, "Chinese")
    pypinyin: Any = library("pypinyin")
    found = ""
    for word in words(text_of_hanzi):
        if HANZI.search(word):
            syllables = pypinyin.lazy_pinyin(word, style=pypinyin.Style.BOPOMOFO)
            found += ("|" if found else "") + "|".join(with_first_tone(syllables))
        else:
            found += word
    phonemes = to_phonemes(found)
    ids = known_ids(phonemes)
    if not ids:
        raise nothing_to_say(text, "Chinese")
    return Phones(phonemes, ids)


def sequence(transcript: str, text: str) -> list[int]:
    """Ids of the reference's transcript and of the text to speak, as the model wants them."""
    return [*phones(plain_commas(transcript)).ids, BETWEEN, *phones(text).ids]


def plain_commas(transcript: str) -> str:
    """A transcript that speech recognition made, with the commas that the model knows."""
    return re.sub("，", ", ", transcript)
