"""How a clip looks everywhere: a player with waveform and mel-spectrogram, its facts, its downloads.

The functions return HTML. Everything that a person typed is escaped. The addresses are those of
``tabs.http.media``; ``studio.js`` moves the cursor over the picture and plays pieces of running jobs.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from html import escape

from storage import ClipRow

FORMATS = ("wav", "flac", "mp3", "ogg")
# where the axes begin and end in the picture, as shares of its width; the cursor needs them
PICTURE_LEFT, PICTURE_RIGHT = 0.062, 0.992


def clock(seconds: float) -> str:
    """``75.3`` as ``1:15``; below ten seconds one decimal is shown."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def when(created_at: str) -> str:
    """A UTC time stamp as local date and time of the server."""
    return datetime.fromisoformat(created_at).astimezone().strftime("%Y-%m-%d %H:%M")


def facts(clip: ClipRow) -> str:
    """One line of facts: engine, length, rate, level."""
    loudness = "" if clip.loudness_lufs is None else f"{clip.loudness_lufs:.1f} LUFS"
    peak = "" if clip.peak_db is None else f"peak {clip.peak_db:.1f} dB"
    channels = {1: "mono", 2: "stereo"}.get(clip.channels, f"{clip.channels} channels")
    parts = [
        clip.engine,
        clock(clip.duration_s),
        f"{clip.sample_rate / 1000:g} kHz {channels}",
        loudness,
        peak,
        "" if clip.seed is None else f"seed {clip.seed}",
    ]
    return " · ".join(escape(part) for part in parts if part)


def player(clip: ClipRow, heading: str = "", beside: str = "", below: str = "") -> str:
    """The full player of one clip; ``beside`` is HTML beside its heading, ``below`` under it all."""
    clip_id = escape(clip.id, quote=True)
    partial = '<span class="badge warn">partial</span>' if clip.partial else ""
    downloads = "".join(
        f'<a href="clips/{clip_id}/audio.{name}" download>{name.upper()}</a>' for name in FORMATS
    )
    return f"""
<article class="clip" data-clip="{clip_id}">
  <header><h3>{escape(heading or clip.title or "Untitled")}</h3>{partial}{beside}</header>
  <p class="facts">{facts(clip)}</p>
  <audio controls preload="metadata" src="clips/{clip_id}/audio" aria-label="Player"></audio>
  <div class="picture" data-left="{PICTURE_LEFT}" data-right="{PICTURE_RIGHT}"
       title="Click to jump to that moment">
    <img loading="lazy" alt="Waveform and mel-spectrogram"
         data-light="clips/{clip_id}/picture.png?theme=light"
         data-dark="clips/{clip_id}/picture.png?theme=dark">
    <i class="cursor"></i>
  </div>
  <footer><span>Download</span>{downloads}<span class="hint">settings are inside the file</span></footer>
  {below}
</article>"""


def rows(clips: Iterable[ClipRow], selected: str = "", empty: str = "Nothing here yet.") -> str:
    """A list of clips, one line each, with a play button, a star and what it is."""
    lines = [_row(clip, clip.id == selected) for clip in clips]
    if not lines:
        return f'<p class="empty">{escape(empty)}</p>'
    return f'<ul class="clip-list" aria-label="Clips">{"".join(lines)}</ul>'


def _row(clip: ClipRow, selected: bool) -> str:
    clip_id = escape(clip.id, quote=True)
    tags = "".join(f'<span class="tag">{escape(tag)}</span>' for tag in clip.tags)
    partial = '<span class="badge warn">partial</span>' if clip.partial else ""
    star, star_label = ("★", "Remove from favourites") if clip.favorite else ("☆", "Favourite")
    return f"""
<li data-clip="{clip_id}" class="{"selected" if selected else ""}" tabindex="0"
    {'aria-current="true"' if selected else ""}>
  <button class="icon" data-play="clips/{clip_id}/audio" aria-label="Play">▶</button>
  <span class="name" title="{escape(clip.title, quote=True)}">{escape(clip.title or "Untitled")}</span>
  {partial}{tags}
  <span class="engine">{escape(clip.engine)}</span>
  <span class="length">{clock(clip.duration_s)}</span>
  <time>{when(clip.created_at)}</time>
  <button class="icon star" data-action="favorite" aria-label="{star_label}">{star}</button>
</li>"""


def table(values: Iterable[tuple[str, object]]) -> str:
    """Names and values as a small table."""
    lines = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in values
    )
    return f'<table class="facts-table">{lines}</table>'


def progress_bar(share: float, label: str, note: str = "") -> str:
    """A progress bar; ``share`` is 0 to 1."""
    percent = round(100 * share)
    return f"""
<div class="progress" role="progressbar" aria-label="{escape(label, quote=True)}"
     aria-valuemin="0" aria-valuemax="100" aria-valuenow="{percent}">
  <div class="bar" style="width:{percent}%"></div>
  <span>{escape(label)}</span><span class="note">{escape(note)}</span>
</div>"""
