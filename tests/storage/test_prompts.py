"""Prompts and templates: kept once, found again, seeded, never lost by mistake."""

from datetime import UTC, datetime, timedelta

import pytest

from storage import NotFound, StorageError


@pytest.fixture
def prompts(store):
    """Three prompts; the first two differ in their attributes only."""
    store.prompts.add("slow theme", {"style": "jazz", "tempo": 80}, "jazz, slow theme, 80 bpm")
    store.prompts.add("slow theme", {"style": "Rock", "mood": "dark"}, "dark Rock, slow theme")
    store.prompts.add("夜の海", {"tempo": 140}, "夜の海, 140 bpm")
    return store.prompts


def texts(page):
    return [row.rendered for row in page.rows]


def test_a_prompt_used_again_is_counted(store):
    first = store.prompts.add(" slow theme ", {"tempo": 80, "style": "jazz"}, "one")
    again = store.prompts.add("slow theme", {"style": "jazz", "tempo": 80}, "two")
    assert (again.id, again.text, again.uses, again.rendered) == (first.id, "slow theme", 2, "two")
    assert again.attributes == {"style": "jazz", "tempo": 80}
    assert again.created_at == first.created_at <= again.used_at
    assert (store.prompts.search("two").total, store.prompts.search("one").total) == (1, 0)
    with pytest.raises(StorageError, match="needs words"):
        store.prompts.add("  ", {}, "")


def test_prompts_are_found_by_words_and_attributes(prompts):
    assert texts(prompts.search()) == [
        "夜の海, 140 bpm", "dark Rock, slow theme", "jazz, slow theme, 80 bpm"
    ]  # fmt: skip
    assert texts(prompts.search("THE slo")) == ["dark Rock, slow theme", "jazz, slow theme, 80 bpm"]
    assert texts(prompts.search("海")) == ["夜の海, 140 bpm"]
    assert texts(prompts.search("low")) == []  # words are found by their beginning
    assert texts(prompts.search(style="ROCK")) == ["dark Rock, slow theme"]
    assert texts(prompts.search(mood="dark", style="jazz")) == []
    assert texts(prompts.search(tempo_min=80, tempo_max=139)) == ["jazz, slow theme, 80 bpm"]
    assert texts(prompts.search(tempo_min=81)) == ["夜の海, 140 bpm"]
    today = datetime.now(UTC).date()
    assert prompts.search(date_from=today, date_to=today.isoformat()).total == 3
    assert prompts.search(date_from=today + timedelta(days=1)).total == 0
    assert prompts.search(date_to=today - timedelta(days=1)).total == 0
    with pytest.raises(StorageError, match="is no date"):
        prompts.search(date_from="yesterday")


def test_prompts_come_in_pages(prompts):
    page = prompts.search(page=9, page_size=2)
    assert (texts(page), page.total, page.page, page.pages) == (
        ["jazz, slow theme, 80 bpm"], 3, 2, 2,
    )  # fmt: skip


def test_favourites_and_deletion(prompts):
    kept, gone = prompts.search().rows[:2]
    assert prompts.set_favorite(kept.id, True).favorite is True
    assert texts(prompts.search(favorite=True)) == ["夜の海, 140 bpm"]
    assert prompts.search(favorite=False).total == 2
    prompts.delete(gone.id)
    assert (prompts.search("dark").total, prompts.search().total) == (0, 2)
    for verb in (prompts.get, prompts.delete, lambda id: prompts.set_favorite(id, True)):
        with pytest.raises(NotFound, match="no prompt"):
            verb(gone.id)


SYSTEM = [
    {"name": "Jazz Lounge", "category": "jazz", "text": "a quiet bar", "attributes": {"tempo": 95}},
    {"name": "Epic", "category": "film", "text": "a battle", "description": "Loud."},
]


def test_templates_of_the_studio_are_seeded_once(store):
    store.templates.seed(SYSTEM)
    first = store.templates.list()
    assert [(row.name, row.category, row.system) for row in first] == [
        ("Epic", "film", True), ("Jazz Lounge", "jazz", True)
    ]  # fmt: skip
    assert first[1].attributes == {"tempo": 95}
    assert store.templates.categories() == ["film", "jazz"]
    store.templates.seed(SYSTEM)
    assert store.templates.list() == first
    store.templates.seed([SYSTEM[0] | {"text": "a loud bar"}])
    (row,) = store.templates.list()
    assert (row.id, row.text) == (first[1].id, "a loud bar")


def test_own_templates_stand_beside_those_of_the_studio(store):
    store.templates.seed(SYSTEM)
    own = store.templates.save("Mine", "jazz", "my bar", {"mood": "calm"}, "d")
    again = store.templates.save(" mine ", "pop", "our bar", {})
    assert (again.id, again.name, again.category, again.text) == (own.id, "mine", "pop", "our bar")
    assert [row.name for row in store.templates.list()] == ["mine", "Epic", "Jazz Lounge"]
    assert [row.name for row in store.templates.list("pop")] == ["mine"]
    system = store.templates.list("film")[0]
    with pytest.raises(StorageError, match="template of the studio, which stays"):
        store.templates.save("EPIC", "film", "x", {})
    with pytest.raises(StorageError, match="cannot be deleted"):
        store.templates.delete(system.id)
    with pytest.raises(StorageError, match="1 to 100 characters"):
        store.templates.save(" ", "", "x", {})
    with pytest.raises(StorageError, match="needs a text"):
        store.templates.save("n", "", " ", {})
    store.templates.delete(own.id)
    with pytest.raises(NotFound):
        store.templates.get(own.id)
    store.templates.seed([*SYSTEM, {"name": "Later", "text": "x"}])
    assert [row.name for row in store.templates.list()] == ["Epic", "Jazz Lounge", "Later"]
