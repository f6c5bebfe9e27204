"""Routes that serve what players need: a clip's sound, its downloads, its picture, live pieces."""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from engines.audio import mel_spectrogram, waveform_envelope
from engines.studio import Studio
from storage import ClipRow, DiskFull, Format
from storage.audio.files import write_whole
from tabs.http.threads import heavy
from tabs.ui.player import PICTURE_LEFT, PICTURE_RIGHT

MEDIA_TYPES = {
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
}
PICTURE_SIZE_IN = (10.0, 3.0)
MELS = 96
# axes and labels, background, waveform
COLOURS = {
    "light": ("#475569", "#ffffff", "#0d9488"),
    "dark": ("#cbd5e1", "#1c1f26", "#2dd4bf"),
}


def router(studio: Studio) -> APIRouter:
    """The media routes of one studio."""
    routes = APIRouter(tags=["media"])

    @routes.get("/clips/{clip_id}/audio")
    def audio(clip_id: str) -> FileResponse:
        """The clip's own file, for playing; answers range requests."""
        path = _file(studio, clip_id)
        return FileResponse(path, media_type=MEDIA_TYPES[path.suffix])

    @routes.get("/clips/{clip_id}/audio.{form}")
    @heavy
    def download(clip_id: str, form: Format) -> FileResponse:
        """The clip in another format with its settings inside, named after its title."""
        source = _file(studio, clip_id)
        folder = tempfile.mkdtemp(dir=studio.store.folder("cache"))
        name = f"{file_name(studio.clip(clip_id))}.{form}"
        path = studio.store.files.export(source, form, Path(folder) / name)
        forget = BackgroundTask(shutil.rmtree, folder)
        media_type = MEDIA_TYPES[path.suffix]
        return FileResponse(path, media_type=media_type, filename=name, background=forget)

    @routes.get("/clips/{clip_id}/picture.png")
    @heavy
    def picture(clip_id: str, theme: Literal["light", "dark"] = "light") -> Response:
        """Waveform and mel-spectrogram, drawn once and kept by content hash."""
        source = _file(studio, clip_id)
        cached = studio.store.folder("cache") / "pictures" / f"{source.stem}-{theme}.png"
        headers = {"Cache-Control": "private, max-age=86400"}
        if not cached.exists():
            drawn = draw(source, theme)
            try:
                write_whole(cached, drawn)
            except DiskFull:  # it can be seen, and is drawn anew the next time
                return Response(drawn, media_type="image/png", headers=headers)
        return FileResponse(cached, headers=headers)

    @routes.get("/live/{job_id}/{piece}.wav")
    def live_piece(job_id: str, piece: int) -> Response:
        """One piece of a running job as a 32-bit float WAV, so that it can be heard at once."""
        live = studio.runner.live(job_id)
        if live is None or not 0 <= piece < len(live.pieces):
            raise HTTPException(404, "That piece is not here; the job may have ended.")
        import soundfile

        buffer = io.BytesIO()
        soundfile.write(
            buffer, live.pieces[piece].T, live.sample_rate, format="WAV", subtype="FLOAT"
        )
        return Response(buffer.getvalue(), media_type="audio/wav")

    return routes


def file_name(clip: ClipRow) -> str:
    """The title of a clip as a file name without an ending; its id if the title has no letter."""
    words = "".join(c if c.isalnum() or c in " -_" else " " for c in clip.title).split()
    return "-".join(words)[:60] or clip.id


def _file(studio: Studio, clip_id: str) -> Path:
    path = studio.clips.held(clip_id).path
    if not path.exists():
        raise HTTPException(410, f"The sound of clip {clip_id} is no longer in the audio folder.")
    return path


def draw(path: Path, theme: str) -> bytes:
    """Waveform above mel-spectrogram on one time axis, as PNG bytes."""
    import numpy as np
    import soundfile
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    duration = len(mono) / rate
    ink, paper, line = COLOURS[theme]
    figure = Figure(figsize=PICTURE_SIZE_IN, dpi=110, facecolor=paper)
    FigureCanvasAgg(figure)
    wave, mel = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    figure.subplots_adjust(PICTURE_LEFT, 0.13, PICTURE_RIGHT, 0.98, hspace=0.06)
    bins = min(len(mono), 1200)
    envelope = waveform_envelope(mono, bins)
    times = (0.5 + np.arange(len(envelope))) * duration / len(envelope)
    wave.fill_between(times, envelope[:, 0], envelope[:, 1], color=line, linewidth=0)
    wave.set_ylim(-1, 1)
    wave.set_yticks([-1, 0, 1])
    spectrogram = mel_spectrogram(mono, rate, n_mels=MELS)
    mel.imshow(
        spectrogram,
        origin="lower",
        aspect="auto",
        cmap="magma",
        extent=(0, duration, 0, MELS),
        vmin=spectrogram.max() - 80,
    )
    _label_hz(mel, rate)
    mel.set_xlim(0, duration)
    mel.set_xlabel("time (s)", color=ink, fontsize=8)
    for axes in (wave, mel):
        axes.set_facecolor(paper)
        axes.tick_params(colors=ink, labelsize=8)
        for spine in axes.spines.values():
            spine.set_color(ink)
            spine.set_alpha(0.4)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _label_hz(axes, rate: int) -> None:
    """Label the mel axis in Hz."""
    import librosa

    edges = librosa.mel_frequencies(n_mels=MELS, fmin=0, fmax=rate / 2)
    marks = [hz for hz in (250, 1000, 4000, 10000) if hz < rate / 2]
    axes.set_yticks([abs(edges - hz).argmin() for hz in marks])
    axes.set_yticklabels([f"{hz / 1000:g}k" if hz >= 1000 else str(hz) for hz in marks])
    axes.set_ylabel("Hz", color=axes.yaxis.label.get_color(), fontsize=8)
