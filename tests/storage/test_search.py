"""Searching: what people type, filters, orders, pages."""

import itertools
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from storage import ClipQuery, Sort
from storage.clips.search import match_expression

TEXTS = {
    "fox": "The quick brown fox jumps over the lazy dog",
    "hyphen": "A text-to-song model, state_of_the_art; it's 100% fun",
    "tokyo": "東京の夜に音楽を聴く。ｶﾀｶﾅとＡＢＣも。",
    "kana": "ラーメンを食べたい",
    "emoji": "rocket🚀launch ❤️ and 👩‍🚀",
    "accents": "Café déjà vu, Straße, naïve",
    "hindi": "नमस्ते दुनिया",
    "korean": "안녕하세요 세계",
    "thai": "สวัสดีชาวโลก",
    "code": 'say "AND" OR NOT NEAR(x, 2) col:val ^start',
}

SEARCHES = [
    ("quick", ["fox"]),
    ("QUICK fox", ["fox"]),
    ("fox quick", ["fox"]),
    ("qui", ["fox"]),
    ("uick", []),
    ('"quick brown"', ["fox"]),
    ('"brown quick"', []),
    ('"quick bro"', []),
    ('"quick brown', ["fox"]),
    ("quick cat", []),
    ("text-to-song", ["hyphen"]),
    ("text-to-s", ["hyphen"]),
    ("song-to-text", []),
    ("-fox", ["fox"]),
    ("state_of", ["hyphen"]),
    ("it's", ["hyphen"]),
    ("100%", ["hyphen"]),
    ("AND", ["code", "emoji"]),
    ("OR NOT", ["code"]),
    ("NEAR(x, 2)", ["code"]),
    ("col:val", ["code"]),
    ("^start", ["code"]),
    ("fo*", ["fox"]),
    ("東京", ["tokyo"]),
    ("京", ["tokyo"]),
    ("音楽を聴", ["tokyo"]),
    ("夜 音楽", ["tokyo"]),
    ("楽音", []),
    ("カタカナ", ["tokyo"]),
    ("abc", ["tokyo"]),
    ("ーメン", ["kana"]),
    ('"食べたい"', ["kana"]),
    ("🚀", ["emoji"]),
    ("❤", ["emoji"]),
    ("launch 🚀", ["emoji"]),
    ("🎸", []),
    ("cafe", ["accents"]),
    ("DÉJÀ", ["accents"]),
    ("naive", ["accents"]),
    ("नमस्ते", ["hindi"]),
    ("नम", ["hindi"]),
    ("녕하", ["korean"]),
    ("ชาว", ["thai"]),
]


@pytest.fixture
def found(store, add):
    """Names of the texts that a search finds."""
    for name, text in TEXTS.items():
        add(text=text, settings={"name": name})

    def find(typed, **filters):
        page = store.clips.search(ClipQuery(text=typed, **filters))
        assert page.total == len(page.rows)
        return sorted(clip.settings["name"] for clip in page.rows)

    return find


def test_what_people_type(found):
    wrong = {typed: found(typed) for typed, names in SEARCHES if found(typed) != names}
    assert wrong == {}


@pytest.mark.parametrize("typed", ["", "  ", "*", '"', '""', "-", "()", "...", "\0", "❤️"[1:]])
def test_nothing_to_search_for_finds_everything(found, typed):
    assert match_expression(typed) == ""
    assert len(found(typed)) == len(TEXTS)


def test_nothing_typed_is_ever_an_error(found):
    pieces = ['"', "*", "AND", "NOT", "(", ")", "^", ":", "-", "+", "{", "}", "東", "🚀", "a", " "]
    pieces += ["'", "\0", "\\", "\ud800", "NEAR", ",", "\u0301", "%", "_", ";", "\ue000"]
    rng = random.Random(0)
    for typed in itertools.chain(pieces, ("".join(rng.choices(pieces, k=6)) for _ in range(300))):
        found(typed)


def test_facets_cannot_be_typed(found):
    from storage.clips.search import Facet, facet

    assert found(facet(Facet.ENGINE, "piper")) == []
    assert found("piper") == []


@pytest.fixture
def shelf(store, add):
    """Six clips of different engines, lengths, loudness and days."""
    engines = ["piper", "vevo", "piper", "diff", "vevo", "piper"]
    titles = ["b", "A", "c", "D", "e", "f"]
    loudness = [-20.0, None, -10.0, -30.0, -15.0, None]
    for i in range(6):
        clip = add(
            samples=np.zeros(2400 * (6 - i), np.float32),
            engine=engines[i],
            task="vc" if engines[i] == "vevo" else "tts",
            text="song" if i % 2 else "speech",
            title=titles[i],
            loudness_lufs=loudness[i],
            partial=i == 5,
        )
        day = datetime(2026, 3, 1 + i, 12, tzinfo=UTC).isoformat(timespec="milliseconds")
        with store.db.write() as transaction:
            transaction.execute("UPDATE clips SET created_at = ? WHERE id = ?", [day, clip.id])
        if i in (0, 3):
            store.clips.set_favorite(clip.id, True)
            store.clips.add_tag(clip.id, "keep")

    def titles_of(**query):
        return "".join(clip.title for clip in store.clips.search(ClipQuery(**query)).rows)

    return titles_of


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ({}, "feDcAb"),
        ({"engine": "piper"}, "fcb"),
        ({"engine": "Piper"}, "fcb"),
        ({"engine": "pip"}, ""),
        ({"task": "vc"}, "eA"),
        ({"tag": "keep"}, "Db"),
        ({"favorite": True}, "Db"),
        ({"favorite": False}, "fecA"),
        ({"partial": True}, "f"),
        ({"text": "song", "partial": False}, "DA"),
        ({"text": "song", "engine": "piper"}, "f"),
        ({"created_from": date(2026, 3, 3)}, "feDc"),
        ({"created_to": date(2026, 3, 3)}, "cAb"),
        ({"created_from": date(2026, 3, 2), "created_to": date(2026, 3, 3)}, "cA"),
        ({"created_to": datetime(2026, 3, 3, 12, tzinfo=UTC)}, "cAb"),
        ({"created_to": datetime(2026, 3, 3, 11, 59, tzinfo=UTC)}, "Ab"),
        ({"duration_min_s": 0.5}, "Ab"),
        ({"duration_max_s": 0.2}, "fe"),
        ({"duration_min_s": 0.2, "duration_max_s": 0.3, "text": "song"}, "D"),
        ({"engine": "piper", "favorite": True, "created_from": date(2026, 1, 1)}, "b"),
        ({"descending": False}, "bAcDef"),
        ({"sort": Sort.DURATION}, "bAcDef"),
        ({"sort": Sort.DURATION, "descending": False}, "feDcAb"),
        ({"sort": Sort.TITLE, "descending": False}, "AbcDef"),
        ({"sort": Sort.TITLE}, "feDcbA"),
        ({"sort": Sort.ENGINE, "descending": False}, "DbcfAe"),
        ({"sort": Sort.LOUDNESS}, "cebDfA"),
        ({"sort": Sort.LOUDNESS, "descending": False}, "DbecAf"),
        ({"sort": Sort.TITLE, "descending": False, "text": "song"}, "ADf"),
        ({"sort": Sort.DURATION, "engine": "piper"}, "bcf"),
        ({"sort": Sort.DURATION, "text": "speech", "duration_max_s": 0.4}, "ce"),
    ],
)
@pytest.mark.parametrize("few", [0, 2000], ids=["walked", "sorted"])
def test_filters_and_orders(shelf, monkeypatch, query, titles, few):
    monkeypatch.setattr("storage.clips.search.FEW", few)
    assert shelf(**query) == titles


def test_pages(store, add):
    ids = [add(text="word" if i % 2 else "other").id for i in range(23)]
    newest_first = ids[::-1]
    query = ClipQuery(page_size=10)
    pages = [store.clips.search(replace(query, page=number)) for number in (1, 2, 3)]
    assert [clip.id for page in pages for clip in page.rows] == newest_first
    assert [(page.total, page.page, page.pages) for page in pages] == [
        (23, 1, 3), (23, 2, 3), (23, 3, 3),
    ]  # fmt: skip
    beyond = store.clips.search(replace(query, page=99))
    assert (beyond.page, len(beyond.rows)) == (3, 3)
    assert store.clips.search(replace(query, page=-5)).page == 1
    words = store.clips.search(ClipQuery(text="word", page_size=4, page=3))
    assert (words.total, words.pages, len(words.rows)) == (11, 3, 3)
    nothing = store.clips.search(ClipQuery(text="absent"))
    assert (nothing.rows, nothing.total, nothing.page, nothing.pages) == ((), 0, 1, 1)


def test_totals_follow_every_change(store, add):
    clip = add(text="word")
    assert store.clips.search(ClipQuery(text="word")).total == 1
    add(text="word")
    assert store.clips.search(ClipQuery(text="word")).total == 2
    token = store.clips.delete([clip.id])
    assert store.clips.search(ClipQuery(text="word")).total == 1
    store.clips.undelete(token)
    assert store.clips.search(ClipQuery(text="word")).total == 2


def test_dates_of_other_zones_mean_the_same_moment(shelf):
    from datetime import timezone

    zone = timezone(timedelta(hours=9))
    assert shelf(created_from=datetime(2026, 3, 6, 21, tzinfo=zone)) == "f"
    assert shelf(created_from=datetime(2026, 3, 6, 21, 1, tzinfo=zone)) == ""


def test_a_text_of_50_000_characters_is_found_by_its_last_word(store, add):
    add(text="歌" * 49_990 + " lastword")
    assert store.clips.search(ClipQuery(text="lastword")).total == 1
    assert store.clips.search(ClipQuery(text="歌歌歌")).total == 1


def test_typing_fifty_thousand_characters_is_no_error(store, add):
    add(text="short")
    assert store.clips.search(ClipQuery(text="word " * 10_000)).total == 0
