"""Five hundred odd texts: each front end gives ids in range or an error in words, soon."""

from __future__ import annotations

import functools

import pytest

from engines.base import StudioError
from engines.networks.vits.symbols import SymbolTable
from engines.tts.front_ends import debatts, maskgct, symbols, whisper
from engines.tts.front_ends.lexicon import Lexicon, fastspeech2_ids, naturalspeech2_ids
from tests.engines.front_ends import odd
from tests.engines.front_ends.odd import spaced

COUNT = 500
VITS = symbols.SymbolText(
    SymbolTable.of(
        spaced("p b t d k ɡ f v θ s z ʃ h m n ŋ l ɹ w j iː ɪ ɛ æ ɑː ə ʌ uː oʊ eɪ aɪ _ , .")
    )
)
tokens = functools.cache(whisper.WhisperText.read)

FRONT_ENDS = {
    **{
        f"maskgct {language}": (
            lambda text, language=language: maskgct.phones(text, language).ids,
            363,
        )
        for language in ("zh", "en", "ja", "ko", "fr", "de")
    },
    "debatts": (lambda text: debatts.phones(text).ids, 363),
    "vits": (lambda text: VITS.ids(text, blanks=True), len(VITS.table.ids)),
    "fastspeech2": (lambda text: fastspeech2_ids(text, Lexicon.read()), 151),
    "naturalspeech2": (lambda text: naturalspeech2_ids(text, Lexicon.read()), 87),
    **{
        f"dualcodec {language}": (
            lambda text, language=language: tokens().ids("Good morning.", text, language),
            68260,
        )
        for language in ("en", "zh")
    },
}


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_odd_texts_give_ids_in_range_or_an_error_in_words(name):
    front_end, vocabulary = FRONT_ENDS[name]
    spoken = 0
    for text in odd.texts(COUNT):
        try:
            ids = front_end(text)
        except StudioError as error:
            assert len(f"{error}") > 40
            continue
        assert ids and all(0 <= number < vocabulary for number in ids)
        spoken += 1
    assert spoken > COUNT / 5
