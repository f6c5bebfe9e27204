"""How well a sound fits its text: CLAP score."""

from __future__ import annotations

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
from engines.metrics.embeddings import CLAP, CLAP_RATE, clap_audio, clap_text
from engines.metrics.voices import NEWEST, unit


class ClapSettings(Settings):
    """Which weights."""

    model: str = Field(CLAP, title="Model", description="CLAP: hub name or folder.")
    revision: str = Field(
        NEWEST,
        title="Revision",
        description="Branch, tag or commit of the model; only a commit makes numbers repeatable.",
    )


@metric(
    Card(
        id="clap_score",
        title="CLAP score",
        measures="Cosine of the sound and its text in CLAP's common space.",
        group="Prompt",
        low=-1,
        high=1,
        better=Better.HIGHER,
        needs=Need.TEXT,
        sample_rate=CLAP_RATE,
        paper="Wu et al., Large-scale Contrastive Language-Audio Pretraining, ICASSP 2023",
        license_code="Apache-2.0",
        weights=f"{CLAP}, revision {NEWEST} unless pinned, to download",
        license_weights="Apache-2.0",
        requires=("transformers", "torch"),
        pip_extra="transformers torch",
        shortest_s=0.1,
    ),
    ClapSettings,
)
def clap_score(case: Case, settings: ClapSettings) -> Measured:
    """From -1 to 1; a sound of several pieces is their mean."""
    if not case.text.strip():
        raise NotApplicable(Reason.NO_TEXT, "There is no text to compare with.")
    heard = unit(clap_audio(case.generated, settings.model, settings.revision).mean(axis=0))
    return Measured(float(heard @ clap_text(case.text, settings.model, settings.revision)))
