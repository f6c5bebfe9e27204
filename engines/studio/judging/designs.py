"""Designs of listening tests: which clips are compared, in which trials, with which anchors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations

from engines.base import StudioError
from engines.studio.settings import VERSION
from storage import ClipQuery, ClipRow, NotFound, Stimulus, Store, TestRow

ANCHOR_ENGINE = "studio"
ANCHOR_HZ = 3500
ANCHOR_LEAST_RATE_HZ = 9000
LOOKED_AT = 2000
MAX_TRIALS = 500
KINDS = ("ab", "mos", "mushra")
BY_SYSTEM, BY_ENGINE, BY_ADAPTER = "system", "engine", "adapter"
BASE = "without adapter"
REFERENCE, ANCHOR = "reference", "anchor"
MADE_BY = "made_by"  # the setting that names the system of a sound from outside
REFERENCE_SYSTEM = "reference"
TRIAL_S = {"ab": 20, "mos": 12, "mushra": 60}  # what a trial takes a practised listener


@dataclass(frozen=True)
class Design:
    """What a test is made of.

    Clips are those of ``clip_ids``, or else all that match ``task``, ``engine`` and the words
    ``text``. They are compared by what they differ in: ``by`` is ``system`` (engine and adapter),
    ``engine``, ``adapter``, or the name of a setting such as ``voice``. ``systems`` keeps some of the
    values of ``by``; ``reference`` is the one that MUSHRA takes as the truth.
    """

    kind: str = "ab"
    clip_ids: tuple[str, ...] = ()
    task: str = ""
    engine: str = ""
    text: str = ""
    by: str = BY_SYSTEM
    systems: tuple[str, ...] = ()
    reference: str = ""
    anchor: bool = True
    per_prompt: int = 1
    max_prompts: int = 0


@dataclass(frozen=True)
class Plan:
    """The trials that a design gives: ``(prompt, stimuli)`` each; ``left_out`` prompts lack a system."""

    trials: tuple[tuple[str, tuple[Stimulus, ...]], ...]
    systems: tuple[str, ...]
    prompts: int
    left_out: int
    minutes: float


class Designer:
    """Makes the tests of one store."""

    def __init__(self, store: Store):
        self._store = store

    def system_of(self, clip: ClipRow, by: str = BY_SYSTEM) -> str:
        """What ``clip`` is an example of; "" when it has no such setting."""
        if by == BY_ENGINE:
            return clip.engine
        if by == BY_ADAPTER:
            return self._adapters(clip.adapter, clip.adapter_scale) or BASE
        if by == BY_SYSTEM:
            if made_by := clip.settings.get(MADE_BY):
                return str(made_by)
            return self.system_name(clip.engine, clip.adapter, clip.adapter_scale)
        value = clip.settings.get(by)
        if value is None or value == "":
            return ""
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    def system_name(self, engine: str, adapter: str, scale: float | None = None) -> str:
        """An engine with the ids of its adapters, as ``ClipRow.adapter`` has them, in words."""
        adapters = self._adapters(adapter, scale)
        return f"{engine} + {adapters}" if adapters else engine

    def _adapters(self, adapter: str, scale: float | None) -> str:
        """The labels of adapters, with a scale other than 1."""
        labels = []
        for adapter_id in filter(None, adapter.split(" + ")):
            label = adapter_id
            with suppress(NotFound):
                label = self._store.adapters.get(adapter_id).label
            labels.append(label)
        label = " + ".join(labels)
        return f"{label} ×{scale:g}" if label and scale not in (None, 1.0) else label

    def clips_of(self, design: Design) -> list[ClipRow]:
        """The clips that a design speaks of, oldest first, without anchors.

        Raises ``NotFound`` for an id that is not there.
        """
        if design.clip_ids:
            return [self._store.clips.get(id) for id in dict.fromkeys(design.clip_ids)]
        found = self._store.clips.search(
            ClipQuery(text=design.text, task=design.task, engine=design.engine, page_size=LOOKED_AT)
        )
        return [clip for clip in reversed(found.rows) if clip.engine != ANCHOR_ENGINE and clip.text]

    def systems_of(self, design: Design) -> dict[str, int]:
        """The systems among the clips of a design, with the number of their clips."""
        counts: dict[str, int] = defaultdict(int)
        for clip in self.clips_of(design):
            if system := self.system_of(clip, design.by):
                counts[system] += 1
        return dict(sorted(counts.items()))

    def differences(self, design: Design) -> list[str]:
        """The settings in which clips of one prompt differ, other than the seed: values for ``by``."""
        values: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for clip in self.clips_of(design):
            for name, value in clip.settings.items():
                if name not in ("seed", "text") and isinstance(value, str | int | float | bool):
                    values[name][clip.text].add(str(value))
        return sorted(n for n, of in values.items() if any(len(each) > 1 for each in of.values()))

    def plan(self, design: Design) -> Plan:
        """The trials of a design. Raises ``StudioError`` that says what is missing, if anything."""
        if design.kind not in KINDS:
            raise StudioError(f"A test is one of {', '.join(KINDS)}, not {design.kind!r}.", "kind")
        known = self.systems_of(design)
        for system in [*design.systems, *filter(None, [design.reference])]:
            if system not in known:
                raise StudioError(_no_system(system, known, design.by), "systems")
        systems = tuple(design.systems or known)
        if design.reference and design.reference not in systems:
            systems = (*systems, design.reference)
        _require_systems(design, systems)
        prompts = self._by_prompt(design, systems)
        # chosen systems are compared on the same prompts; else each prompt gives what it has
        needed = set(systems) if design.systems else set(filter(None, [design.reference]))
        least = 1 if design.kind == "mos" else 2
        complete = {
            text: {system: of[system] for system in systems if system in of}
            for text, of in prompts.items()
            if needed <= of.keys() and len(of) >= least
        }
        kept = list(complete.items())[: design.max_prompts or None]
        if not kept:
            raise StudioError(_no_prompt(systems, len(prompts), bool(design.systems)), "systems")
        trials = [trial for text, of in kept for trial in _trials(design, text, of)]
        if len(trials) > MAX_TRIALS:
            raise StudioError(
                f"That makes {len(trials):,} trials; {MAX_TRIALS} is the most. Use fewer prompts, "
                "systems or clips of each."
            )
        minutes = len(trials) * TRIAL_S[design.kind] / 60
        return Plan(tuple(trials), systems, len(kept), len(prompts) - len(complete), minutes)

    def _by_prompt(
        self, design: Design, systems: Sequence[str]
    ) -> dict[str, dict[str, list[ClipRow]]]:
        """Clips by prompt and system, different sounds only."""
        found: dict[str, dict[str, dict[str, ClipRow]]] = defaultdict(lambda: defaultdict(dict))
        for clip in self.clips_of(design):
            system = self.system_of(clip, design.by)
            if system in systems:
                found[clip.text][system].setdefault(clip.hash, clip)
        return {
            text: {system: list(clips.values()) for system, clips in of.items()}
            for text, of in found.items()
        }

    def create(
        self, name: str, design: Design, *, criterion: str = "overall", adapter_id: str = ""
    ) -> TestRow:
        """Make a named test; the anchors it needs are made and stored as clips.

        Raises ``StudioError`` or ``StorageError`` for a design without trials or a name in use.
        """
        plan = self.plan(design)
        trials = [(prompt, list(stimuli)) for prompt, stimuli in plan.trials]
        if design.kind == "mushra" and design.anchor:
            for _, stimuli in trials:
                reference = next(item for item in stimuli if item.role == REFERENCE)
                anchor = self.anchor(reference.clip_id)
                stimuli.append(Stimulus(anchor.id, "3.5 kHz anchor", ANCHOR))
        settings = {
            "by": design.by,
            "systems": list(plan.systems),
            "reference": design.reference,
            "text": design.text,
            "task": design.task,
        }
        return self._store.tests.create(
            name, design.kind, trials, criterion=criterion, config=settings, adapter_id=adapter_id
        )

    def anchor(self, clip_id: str) -> ClipRow:
        """The low-pass anchor of a clip, made once: nothing above 3.5 kHz (ITU-R BS.1534-3, 5.1).

        The filter is flat within 0.1 dB up to 3.5 kHz and has no delay, so that one can switch
        between anchor and reference at any moment. Raises ``StudioError`` where the clip holds
        nothing to take away.
        """
        import soundfile
        from scipy import signal

        from engines.audio import measure

        clip = self._store.clips.get(clip_id)
        for child in self._store.clips.children(clip.id):
            if child.engine == ANCHOR_ENGINE and child.settings.get("anchor_hz") == ANCHOR_HZ:
                return child
        samples, rate = soundfile.read(clip.path, dtype="float32", always_2d=True)
        if rate < ANCHOR_LEAST_RATE_HZ:
            raise StudioError(
                f"“{clip.title}” has {rate} Hz and so no sound above {rate // 2} Hz; an anchor at "
                f"{ANCHOR_HZ} Hz would be the same. Make this test without the anchor.",
                "anchor",
            )
        # forwards and backwards: half of ripple and attenuation each time, and no delay
        sections = signal.ellip(8, 0.05, 30, ANCHOR_HZ, output="sos", fs=rate)
        padding = min(3 * (2 * len(sections) + 1), len(samples) - 1)
        dull = signal.sosfiltfilt(sections, samples.T.astype("float64"), padlen=padding)
        dull = dull.astype("float32")
        levels = measure(dull, rate)
        return self._store.clips.add(
            dull[0] if len(dull) == 1 else dull,
            rate,
            engine=ANCHOR_ENGINE,
            task=clip.task,
            text=clip.text,
            title=f"{clip.title or 'Clip'} (3.5 kHz anchor)",
            settings={"anchor_hz": ANCHOR_HZ},
            parents=(clip.id,),
            peak_db=levels.peak_db,
            loudness_lufs=levels.loudness_lufs,
            app_version=VERSION,
        )


# trials


def _require_systems(design: Design, systems: Sequence[str]) -> None:
    if not systems:
        raise StudioError("No clip matches. Make some first, or use wider filters.", "systems")
    if design.kind == "mushra" and not design.reference:
        raise StudioError(
            f"MUSHRA needs a reference: the system whose clips are the truth, of {', '.join(systems)}.",
            "reference",
        )
    if design.kind != "mos" and len(systems) < 2:
        raise StudioError(
            f"There is one system only, {systems[0]!r}; a comparison needs two. Choose other clips, "
            "or compare by something else that differs, such as a setting.",
            "systems",
        )


def _no_system(system: str, known: Mapping[str, int], by: str) -> str:
    there = ", ".join(known) or "none"
    return f"No clip has {system!r} as its {by}; among these clips there are: {there}."


def _no_prompt(systems: Sequence[str], prompts: int, each: bool) -> str:
    wanted = "a clip of each" if each else "clips of two"
    return (
        f"No prompt has {wanted} of {', '.join(systems)} ({prompts} prompts were looked at). "
        "Make clips of the same prompt with each, or choose fewer systems."
    )


def _trials(
    design: Design, prompt: str, of: Mapping[str, list[ClipRow]]
) -> list[tuple[str, tuple[Stimulus, ...]]]:
    """The trials of one prompt."""
    count = max(1, design.per_prompt)
    if design.kind == "mos":
        return [
            (prompt, (Stimulus(clip.id, system, ""),))
            for system, clips in of.items()
            for clip in clips[-count:]
        ]
    if design.kind == "ab":
        return [
            (prompt, (Stimulus(one.id, first, ""), Stimulus(other.id, second, "")))
            for first, second in combinations(of, 2)
            for one, other in matched(of[first], of[second])[:count]
        ]
    stimuli = [Stimulus(of[design.reference][-1].id, design.reference, REFERENCE)]
    stimuli += [
        Stimulus(clip.id, system, "")
        for system, clips in of.items()
        if system != design.reference
        for clip in clips[-count:]
    ]
    return [(prompt, tuple(stimuli))]


def matched(first: Sequence[ClipRow], second: Sequence[ClipRow]) -> list[tuple[ClipRow, ClipRow]]:
    """Pairs of clips of two systems, those of the same seed first; no clip twice."""
    pairs: list[tuple[ClipRow, ClipRow]] = []
    rest = list(second)
    unmatched = []
    for clip in reversed(first):
        same = next(
            (c for c in reversed(rest) if clip.seed is not None and c.seed == clip.seed), None
        )
        if same is None:
            unmatched.append(clip)
        else:
            rest.remove(same)
            pairs.append((clip, same))
    return pairs + list(zip(unmatched, reversed(rest), strict=False))
