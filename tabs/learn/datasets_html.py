"""The Datasets tab in HTML: the list, what a filter finds, one dataset, its quality, its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

from storage.learning.dataset_filter import DatasetFilter
from storage.learning.datasets import DatasetCount, DatasetItem, DatasetRow
from storage.learning.runs import RunRow
from tabs.ui import live
from tabs.ui.chosen import ChosenView, counted, said_html, sure_button
from tabs.ui.live import badge, button
from tabs.ui.player import clock, table, when
from training.lab.quality import Quality

NEW, IMPORT = "", "import"
PREVIEW = 8
PAGE_ROWS = 20
SPREAD_LINES = 6
TENTATIVE = 0.667  # Krippendorff, Content Analysis (2004), p. 241
KINDS = {"supervised": "well-rated clips", "preference": "compared pairs"}
NO_DATASETS = "None yet. Build the first one on the right from what you have judged."
NOTHING_FOUND = {
    "supervised": "No clip matches. Rate some clips in Judge, or ask for less: a lower rating, "
    "fewer raters, no tags.",
    "preference": "No pair matches. Compare clips of the same prompt in Judge, or ask for less.",
}
FILTER_WORDS = {
    "tags_in": "with the tags {}",
    "tags_out": "without the tags {}",
    "engine": "by {}",
    "task": "of the task {}",
    "date_from": "from {}",
    "date_to": "to {}",
    "text": "“{}” in the prompt",
    "max_duration_s": "at most {} s long",
}


# the list on the left


def list_html(datasets: Sequence[DatasetRow], view: ChosenView) -> str:
    """Buttons for a new one and an import, and every dataset."""
    head = (
        '<div class="side"><div class="buttons">'
        + _pressed("New dataset", "open", NEW, view.chosen == NEW)
        + _pressed("Import", "open", IMPORT, view.chosen == IMPORT)
        + "</div>"
    )
    if not datasets:
        return f"{head}{live.empty(NO_DATASETS)}</div>"
    lines = "".join(_pick(row, row.id == view.chosen) for row in datasets)
    return f'{head}<ul class="picks">{lines}</ul></div>'


def _pressed(text: str, action: str, id: str, pressed: bool) -> str:
    marked = button(text, action, id)
    return marked.replace("<button ", f'<button aria-pressed="{str(pressed).lower()}" ', 1)


def _pick(row: DatasetRow, selected: bool) -> str:
    dataset_id = escape(row.id, quote=True)
    archived = badge("archived") if row.archived else ""
    return (
        f'<li data-action="open" data-id="{dataset_id}" class="{"selected" if selected else ""}">'
        f'<button type="button" class="plain" data-action="open" data-id="{dataset_id}">'
        f"{escape(row.name)}</button>{archived}{badge(KINDS.get(row.kind, row.kind))}"
        f'<span class="about">{counted(row.items, "item")} · {clock(row.seconds)} · '
        f"{when(row.created_at)}</span></li>"
    )


# what a filter finds


def found_html(filter: DatasetFilter, count: DatasetCount) -> str:
    """The live count in large numbers, or what to do when there is nothing."""
    kind = str(filter.kind)
    if not count.items:
        return (
            '<section class="card"><div class="found none"><span><b>0</b> items</span></div>'
            f"<p>{NOTHING_FOUND[kind]}</p>{button('Open Judge', 'tab', 'judge')}</section>"
        )
    things = "pair" if kind == "preference" else "clip"
    facts = [
        (count.items, things if count.items == 1 else f"{things}s"),
        (count.prompts, "prompt" if count.prompts == 1 else "prompts"),
        (clock(count.seconds), "of sound"),
    ]
    numbers = "".join(f"<span><b>{value}</b> {name}</span>" for value, name in facts)
    return f'<section class="card"><div class="found" role="status">{numbers}</div></section>'


def preview_html(items: Sequence[DatasetItem], total: int) -> str:
    """The first rows a filter finds, to listen to."""
    if not items:
        return ""
    rest = total - len(items)
    more = f'<p class="quiet">and {rest:,} more</p>' if rest > 0 else ""
    rows = "".join(row_html(item, _clip_address) for item in items)
    return f'<h4 class="group">The first of them</h4><ul class="rows-list">{rows}</ul>{more}'


def row_html(item: DatasetItem, address: Callable[[DatasetItem, str], str]) -> str:
    """One row: players, prompt, rating or strength, length; ``address(item, which)`` plays it."""
    prompt = escape(item.prompt, quote=True)
    name = f'<span class="name" title="{prompt}">{prompt}</span>'
    if item.rejected_id or item.rejected_hash:
        strength = f"strength {item.strength:g}" if item.strength else ""
        sounds = (
            f'<span class="pair">{_play(address(item, "chosen"), "Play the better one")}better</span>'
            f'<span class="pair">{_play(address(item, "rejected"), "Play the other one")}worse</span>'
        )
        return f'<li>{sounds}{name}<span class="quiet">{strength}</span></li>'
    rating = ""
    if item.rating is not None:
        raters = f" by {item.raters}" if item.raters and item.raters > 1 else ""
        rating = f'<span class="stars">★ {item.rating:.1f}{raters}</span>'
    length = f'<span class="quiet">{clock(item.duration_s)}</span>' if item.duration_s else ""
    return f"<li>{_play(address(item, 'chosen'), 'Play')}{name}{rating}{length}</li>"


def _play(address: str, label: str) -> str:
    place = escape(address, quote=True)
    return f'<button class="icon" data-play="{place}" aria-label="{label}">▶</button>'


def _clip_address(item: DatasetItem, which: str) -> str:
    return f"clips/{item.rejected_id if which == 'rejected' else item.clip_id}/audio"


# quality


def quality_html(quality: Quality) -> str:
    """What is good and what is doubtful, in plain sentences, and how the items are spread."""
    lines = "".join(f'<li class="warn">{escape(text)}</li>' for text in quality.warnings)
    lines += "".join(f"<li>{text}</li>" for text in _good(quality))
    spread = "".join(
        _bars(name, counts)
        for name, counts in quality.balance.items()
        if len(counts) > 1 and sum(counts.values()) > 1
    )
    return (
        '<section class="card"><header><h3>Is it good to learn from?</h3></header>'
        f'<ul class="notes-list">{lines}</ul><div class="spreads">{spread}</div></section>'
    )


def _good(quality: Quality) -> list[str]:
    """What was looked for and is in order."""
    found = []
    if quality.agreement is not None and quality.agreement >= TENTATIVE:
        found.append(f"{quality.raters} people agree (alpha {quality.agreement:.2f}).")
    if not (quality.contradictions or quality.cycles):
        found.append("Nobody contradicts anybody.")
    if not (quality.duplicates or quality.clipped or quality.silent):
        found.append("No sound is there twice, silent or clipped.")
    if quality.lengths and not (quality.short or quality.long):
        low, high = clock(quality.lengths.minimum), clock(quality.lengths.maximum)
        found.append(f"All last {low}." if low == high else f"They last {low} to {high}.")
    return found


def _bars(name: str, counts: Mapping[str, int]) -> str:
    """How many items have each value, the most frequent ones."""
    most = max(counts.values())
    lines = "".join(
        f'<span class="name" title="{escape(value, quote=True)}">{escape(value) or "–"}</span>'
        f'<span class="track"><i style="width:{round(100 * count / most)}%"></i></span>'
        f"<span>{count:,}</span>"
        for value, count in list(counts.items())[:SPREAD_LINES]
    )
    more = len(counts) - SPREAD_LINES
    rest = f" ({more} more)" if more > 0 else ""
    return f'<div><h4>By {escape(name)}{rest}</h4><div class="bars">{lines}</div></div>'


# one dataset


def head_html(
    row: DatasetRow, items: Sequence[DatasetItem], runs: Sequence[RunRow], view: ChosenView
) -> str:
    """Name, what can be done with it, what it is made of, and which runs used it."""
    splits = {name: sum(item.split == name for item in items) for name in ("train", "validation")}
    facts = [
        ("Holds", f"{counted(row.items, 'item')}, {counted(row.prompts, 'prompt')}, "
                  f"{clock(row.seconds)} of sound"),
        ("Split by prompt", f"{splits['train']} to learn from, {splits['validation']} to check with"),
        ("Chosen by", filter_words(row)),
        ("Made", when(row.created_at)),
    ]  # fmt: skip
    marks = badge(KINDS.get(str(row.kind), "")) + (badge("archived") if row.archived else "")
    used = "".join(
        f"<li>{button(run.name, 'open-run', run.id, 'small')} "
        f'<span class="quiet">{escape(str(run.state))}</span></li>'
        for run in runs
    )
    used = f'<h4>Runs that learned from it</h4><ul class="plain-list">{used}</ul>' if runs else ""
    train = button("Train with it", "train-with", row.id, "primary")
    downloads = "".join(
        f'<a class="act" href="datasets/{escape(row.id, quote=True)}/{name}" download>{text}</a>'
        for name, text in (
            ("audiofolder.zip", "Folder of sounds (zip)"), ("rows.jsonl", "JSONL"), ("rows.csv", "CSV")
        )
    )  # fmt: skip
    delete = sure_button(view, "Delete", "delete", f"Really delete “{live.short(row.name, 30)}”?")
    return f"""
<section class="card"><header><h3>{escape(row.name)}</h3>{marks}</header>
{said_html(view)}{table(facts)}
<div class="buttons">{train}{delete}</div>
<h4>Take it with you</h4><div class="buttons">{downloads}</div>
<p class="quiet">Frozen: later judgements do not change it. Fingerprint of its contents
<span class="hash">{escape(row.content_hash[:16])}</span></p>{used}</section>"""


def filter_words(row: DatasetRow) -> str:
    """A dataset's filter in words."""
    if row.filter is None:
        return "an import"
    values = row.filter.to_dict()
    words = []
    if str(row.kind) == "preference":
        strong = row.filter.min_strength
        words.append("pairs" + (f" of strength {strong:g} or more" if strong > 1 else ""))
    else:
        least = row.filter.min_rating
        words.append(f"{row.filter.criterion} " + (f"{least:g} or better" if least else "rated"))
    if row.filter.min_raters > 1:
        words.append(f"judged by at least {row.filter.min_raters} people")
    for name, text in FILTER_WORDS.items():
        value = values.get(name)
        if value:
            shown = ", ".join(value) if isinstance(value, list | tuple) else f"{value}"
            words.append(text.format(shown))
    for name, side in (("score_min", "at least"), ("score_max", "at most")):
        words += [f"{metric} {side} {limit:g}" for metric, limit in values[name].items()]
    adapter = values.get("adapter")
    if adapter:
        words.append("without an adapter" if adapter == "none" else f"with the adapter {adapter}")
    if values.get("favorites"):
        words.append("favourites only")
    return ", ".join(words)


def rows_html(row: DatasetRow, items: Sequence[DatasetItem], split: str, page: int) -> str:
    """The frozen rows of one split, a page of them."""
    shares = {
        name: [item for item in items if item.split == name] for name in ("train", "validation")
    }
    titles = {"train": "To learn from", "validation": "To check with"}
    chips = "".join(
        f'<button type="button" class="chip" data-action="split" data-id="{name}" '
        f'aria-pressed="{str(name == split).lower()}">{titles[name]} ({len(found)})</button>'
        for name, found in shares.items()
    )
    shown = shares[split][(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
    pages = max(1, -(-len(shares[split]) // PAGE_ROWS))
    place = f"datasets/{row.id}/sounds"

    def address(item: DatasetItem, which: str) -> str:
        return f"{place}/{item.rejected_hash if which == 'rejected' else item.hash}"

    lines = "".join(row_html(item, address) for item in shown)
    earlier = button("‹ Back", "page", str(page - 1)) if page > 1 else ""
    later = button("More ›", "page", str(page + 1)) if page < pages else ""
    foot = f'<div class="pages"><span class="quiet">page {page} of {pages}</span>{earlier}{later}</div>'
    body = f'<ul class="rows-list">{lines}</ul>' if shown else live.empty("No rows in this part.")
    return f'<div class="chips">{chips}</div>{body}{foot if pages > 1 else ""}'
