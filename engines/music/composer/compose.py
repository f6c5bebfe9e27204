"""Writes pieces: a plan of sections and chords, and parts that follow from the plan and a seed each.

A part knows the plan and no other part. So one part can be written anew while the others keep every note.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from engines.music.composer import accompaniment
from engines.music.composer.accompaniment import Accompanist, plays
from engines.music.composer.bass import bass
from engines.music.composer.drums import drums
from engines.music.composer.form import bars_of, form, going_on
from engines.music.composer.harmony import harmony
from engines.music.composer.humanise import humanise
from engines.music.composer.instruments import instrument, knowledge
from engines.music.composer.melody import Melodist, voice_for
from engines.music.composer.score import (
    ANSWER,
    ARP,
    BASS,
    COMP,
    DRUMS,
    LEAD,
    PAD,
    PARTS,
    TEXTURE,
    Brief,
    Note,
    Score,
    Section,
    Track,
)  # fmt: skip
from engines.music.composer.styles import style
from engines.music.composer.theory import into, nearest

Written = list[tuple[str, list[Note]]]  # notes by instrument


def compose(brief: Brief) -> Score:
    """Write the whole piece of a brief. The same brief gives the same notes."""
    sections = form(brief, derived(brief.seed, "form"))
    changes = harmony(brief, sections, derived(brief.seed, "harmony"))
    score = Score(brief, sections, changes, (), {}, _slowing(brief, sections))
    for part in PARTS:
        score = _with_part(score, part, brief.seed)
    return score


def rewrite(score: Score, part: str, seed: int) -> Score:
    """The piece with another version of one part; every other part keeps all its notes."""
    kept = _with_part(score, part, seed)
    return replace(kept, seeds={**score.seeds, part: seed})


def extend(score: Score, extra_s: float, seed: int) -> Score:
    """The piece with ``extra_s`` more seconds: all notes before its last bar stay, then it goes on with its
    chords and motifs."""
    old, last = score.brief, score.beats - score.brief.meter
    brief = replace(old, duration_s=old.duration_s + extra_s)
    extra = max(bars_of(brief) - score.bars, 1)
    sections = (*score.sections, *going_on(score, extra, derived(seed, "form")))
    planned = harmony(brief, sections, derived(old.seed, "harmony"))
    changes = (
        *(each for each in score.changes if each.start < last - 1e-6),
        *(each for each in planned if each.start >= last - 1e-6),
    )
    longer = replace(
        score, brief=brief, sections=sections, changes=changes, slowing=_slowing(brief, sections)
    )
    for part in PARTS:
        before = [track for track in longer.tracks if track.part == part]
        longer = _with_part(longer, part, score.seeds.get(part, old.seed) if before else seed)
        joined = tuple(
            _joined(track, before, last) for track in longer.tracks if track.part == part
        )
        others = tuple(track for track in longer.tracks if track.part != part)
        longer = replace(longer, tracks=_ordered((*others, *joined)))
    return longer


def _joined(track: Track, before: Sequence[Track], last: float) -> Track:
    """The notes of a track after beat ``last`` behind those that it had before."""
    if track.part == TEXTURE:
        return track
    heard = next((each.notes for each in before if each.instrument == track.instrument), ())
    edge = last - 0.2  # a note of the last bar may be a little early
    return replace(
        track,
        notes=(*(n for n in heard if n.start < edge), *(n for n in track.notes if n.start >= edge)),
    )


def _ordered(tracks: tuple[Track, ...]) -> tuple[Track, ...]:
    return tuple(sorted(tracks, key=lambda track: PARTS.index(track.part)))


def derived(seed: int, name: str) -> np.random.Generator:
    """The generator of one part of the work, independent of all others."""
    return np.random.default_rng(
        [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF, zlib.crc32(name.encode())]
    )


def _slowing(brief: Brief, sections: Sequence[Section]) -> float:
    """Beats in which a piece of free time slows down, where the last chord can still ring."""
    if brief.loop or not style(brief.style).get("rubato") or sections[-1].end < 6:
        return 0.0
    beat_s = 60 / brief.tempo
    ring_s = brief.duration_s - (sections[-1].end - 1) * brief.meter * beat_s
    beats = float(brief.meter)
    return beats if ring_s - 0.25 * beats * beat_s > 1.2 else 0.0


def accompany(score: Score, parts: Sequence[str]) -> Score:
    """A score whose plan is given, with these parts written for it."""
    for part in parts:
        score = _with_part(score, part, score.brief.seed)
    return score


def _with_part(score: Score, part: str, seed: int) -> Score:
    others = tuple(track for track in score.tracks if track.part != part)
    if not score.brief.players(part):
        return replace(score, tracks=others)
    rng = derived(seed, part)
    written = WRITERS[part](score, rng)
    made = tuple(
        Track(part, name, humanise(_ended(score, part, name, notes), part, score.brief, rng))
        for name, notes in written
    )
    return replace(score, tracks=_ordered((*others, *(track for track in made if track.notes))))


# parts


def _sections(score: Score, part: str) -> list[Section]:
    count = len(score.sections)
    return [each for each in score.sections if plays(part, each, count, score.brief)]


def _bass(score: Score, rng: np.random.Generator) -> Written:
    name = score.brief.players(BASS)[0]
    return [(name, bass(score.brief, score.sections, score.changes, rng))]


def _drums(score: Score, rng: np.random.Generator) -> Written:
    return drums(score.brief, score.sections, rng)


def _chords(
    part: str, how: Callable[[Accompanist, Sequence[Section]], list[Note]]
) -> Callable[[Score, np.random.Generator], Written]:
    def write(score: Score, rng: np.random.Generator) -> Written:
        return [
            (name, how(Accompanist(score.brief, score.changes, name, rng), _sections(score, part)))
            for name in score.brief.players(part)
        ]

    return write


def _comp(score: Score, rng: np.random.Generator) -> Written:
    """Chords; a player without a bass beside it breaks them in some sections."""
    written: Written = []
    for index, name in enumerate(score.brief.players(COMP)):
        player = Accompanist(score.brief, score.changes, name, rng)
        sections, patterns = _sections(score, COMP), player.rhythm["arp"]
        odds = (
            0.75
            if player.alone
            else 0.4
            if player.facts.decays and not score.brief.players(ARP)
            else 0.0
        )
        broken = [s.kind for s in sections if patterns and s.energy < 0.75 and rng.random() < odds]
        if index and not broken:
            written.append(
                (
                    name,
                    player.held(sections) if not player.facts.decays else player.chords(sections),
                )
            )
            continue
        notes = player.chords([s for s in sections if s.kind not in broken])
        player.chosen = {}
        written.append((name, notes + player.broken([s for s in sections if s.kind in broken])))
    return written


def _lead(score: Score, rng: np.random.Generator) -> Written:
    """One melody, sung by turns; who does not sing holds an inner voice where there is energy for it."""
    names = score.brief.players(LEAD)
    facts = [instrument(name, score.brief.style) for name in names]
    voice = voice_for(facts[0], score.brief)
    melodist = Melodist(score.brief, score.changes, voice, rng)
    sung: dict[str, list[Note]] = {name: [] for name in names}
    solo_by_other = bool(score.brief.players(ANSWER))
    turn = 0
    for section in _sections(score, LEAD):
        if section.kind == "solo" and solo_by_other:
            continue
        for stretch in _shared(section, len(names), len(score.sections)):
            index = turn % len(names)
            turn += 1
            notes = melodist.section(stretch)
            sung[names[index]] += _moved(notes, facts[0].home, facts[index])
            for other, name in enumerate(names):
                if other != index and (section.energy > 0.5 or len(score.sections) == 1):
                    sung[name] += accompaniment.line(
                        score.brief, [stretch], score.changes, name, other
                    )
    return list(sung.items())


def _shared(section: Section, singers: int, count: int) -> list[Section]:
    """A section, in two where it is long and more than one sings."""
    if singers == 1 or section.bars < 4 or (count > 4 and section.bars <= 8):
        return [section]
    parts = min(singers, section.bars // 2)
    size = max(section.bars // parts // 2 * 2, 2)
    starts = [section.start + n * size for n in range(parts)]
    ends = [*starts[1:], section.end]
    return [
        replace(section, start=start, bars=end - start)
        for start, end in zip(starts, ends, strict=True)
    ]


def _moved(notes: list[Note], home: int, facts: object) -> list[Note]:
    """A melody in the range of another instrument, by octaves."""
    low, high, its_home = (getattr(facts, name) for name in ("low", "high", "home"))
    octaves = 12 * round((its_home - home) / 12)
    return [replace(note, pitch=into(note.pitch + octaves, low, high)) for note in notes]


def _answer(score: Score, rng: np.random.Generator) -> Written:
    """A slower melody under the first one; in solos it is the first."""
    written: Written = []
    for index, name in enumerate(score.brief.players(ANSWER)):
        facts = instrument(name, score.brief.style)
        under = voice_for(facts, score.brief, -5.0)
        under = replace(under, density=0.7, velocity=under.velocity - 9)
        slow = Melodist(
            score.brief, score.changes, under, rng, "slow" if score.brief.meter == 4 else ""
        )
        free = Melodist(score.brief, score.changes, voice_for(facts, score.brief), rng)
        notes: list[Note] = []
        for number, section in enumerate(_sections(score, ANSWER)):
            if section.kind == "solo":
                notes += free.section(section) if index == 0 else []
            elif number % len(score.brief.players(ANSWER)) == index or section.energy > 0.8:
                notes += slow.section(section)
        written.append((name, notes))
    return written


def _texture(score: Score, rng: np.random.Generator) -> Written:
    whole = Note(0.0, score.brief.duration_s * score.brief.tempo / 60, 60, 80)
    return [(name, [whole]) for name in score.brief.players(TEXTURE)]


WRITERS: dict[str, Callable[[Score, np.random.Generator], Written]] = {
    DRUMS: _drums, BASS: _bass, COMP: _comp, LEAD: _lead, ANSWER: _answer, TEXTURE: _texture,
    ARP: _chords(ARP, Accompanist.broken), PAD: _chords(PAD, Accompanist.held),
}  # fmt: skip


# the end


def _ended(score: Score, part: str, name: str, notes: list[Note]) -> list[Note]:
    """The part with the last chord in its last bar, held until the sound ends."""
    brief = score.brief
    if brief.loop or brief.drummed or part == TEXTURE or score.bars == 1:
        limit = score.beats
        return [
            n if n.start + n.length <= limit else replace(n, length=max(limit - n.start, 0.1))
            for n in notes
        ]
    last = score.beats - brief.meter
    before = [note for note in notes if note.start < last - 1e-6]
    kept = [
        replace(note, length=min(note.length, max(last - note.start, 0.1)))
        if part != DRUMS
        else note
        for note in before
    ]
    if not before:
        return kept
    ring = (brief.duration_s - float(score.seconds(last))) * brief.tempo / 60 - 0.15
    return kept + _final(score, part, name, kept, last, max(ring, 0.5))


def _final(
    score: Score, part: str, name: str, before: list[Note], last: float, ring: float
) -> list[Note]:
    brief, given = score.brief, score.changes[-1].chord
    velocity = int(np.clip(np.mean([note.velocity for note in before[-12:]]), 40, 110))
    keys = knowledge()["drum_keys"]
    if part == DRUMS:
        kit = instrument(name, brief.style)
        loud = ["kick", "crash"] if score.sections[-1].energy > 0.3 else ["kick"]
        return [Note(last, 0.2, keys[d], velocity) for d in loud if not kit.only or d in kit.only]
    facts = instrument(name, brief.style)
    if part == BASS:
        pitch = into(nearest(given.root, facts.low + 8), facts.low, facts.high)
        return [Note(last, ring, pitch, velocity)]
    if part in (COMP, ARP, PAD):
        player = Accompanist(brief, score.changes, name, np.random.default_rng(0))
        pitches = player.voicings[-1]
        low = into(nearest(given.root, 41), max(facts.low, 31), 52)
        if player.alone and low < pitches[0]:
            pitches = (low, *pitches)
        step = max(facts.strum * brief.tempo / 60, 0.02)
        return [
            Note(last + n * step, ring - n * step, pitch, velocity)
            for n, pitch in enumerate(pitches)
        ]
    tones = given.classes[:1] if part == LEAD else given.classes[:3]
    pitch = min(
        (nearest(each, before[-1].pitch) for each in tones), key=lambda p: abs(p - before[-1].pitch)
    )
    return [Note(last, ring, into(pitch, facts.low, facts.high), velocity)]
