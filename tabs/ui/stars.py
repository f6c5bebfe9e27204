"""Stars from 1 to 5 that can stand beside any clip; ``judge.js`` sends a click to ``/rate``."""

from __future__ import annotations

from html import escape

from engines.studio.judging.judging import config


def stars(clip_id: str, value: int = 0, criterion: str = "overall", label: str = "Overall") -> str:
    """Five stars for one clip; ``value`` is the rater's own rating, 0 for none.

    A click on the star that is set takes the rating back.
    """
    grades = config()["grades"]
    buttons = "".join(
        f'<button type="button" role="radio" data-star="{number}" '
        f'aria-checked="{str(number == value).lower()}" '
        f'aria-label="{escape(label)}: {number} of 5, {grade}" title="{grade}">★</button>'
        for number, grade in enumerate(grades, 1)
    )
    return (
        f'<span class="stars" role="radiogroup" aria-label="{escape(label, quote=True)}" '
        f'data-clip="{escape(clip_id, quote=True)}" '
        f'data-criterion="{escape(criterion, quote=True)}" data-value="{value}">{buttons}</span>'
    )
