"""Five hundred odd texts: each front end gives ids in range or an error in words, soon."""

from __future__ import annotations

import pytest

from engines.base import StudioError
from engines.tts.front_ends import debatts, maskgct
from tests.engines.front_ends import odd

COUNT = 500

FRONT_ENDS = {
    **{
        f"maskgct {language}": (
            lambda text, language=language: maskgct.phones(text, language).ids,
            363,
        )
        for language in ("zh", "en", "ja", "ko", "fr", "de")
    },
    "debatts": (lambda text: debatts.phones(text).ids, 363),
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
