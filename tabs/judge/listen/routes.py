"""Routes below ``/listen``: a test taken by link. The token in the address is what gives access."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Literal

import soundfile
from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from engines.base import StudioError
from engines.studio import Studio
from engines.studio.judging.judging import NOBODY
from engines.studio.judging.links import REFERENCE_PLACE
from storage import ClipRow, LinkRater, NotFound, StorageError
from tabs.http.limits import TokenBuckets
from tabs.judge.listen import pages
from tabs.judge.pairs import require_heard
from tabs.ui.rater import MAX_NAME

HERE = Path(__file__).parent
ASSETS = {
    "deck.js": HERE.parents[1] / "ui" / "deck.js",
    "judge.js": HERE.parent / "judge.js",
    "judge.css": HERE.parent / "judge.css",
    "listen.js": HERE / "listen.js",
    "listen.css": HERE / "listen.css",
}
COOKIE = "studio_listener"
REMEMBERED_S = 90 * 24 * 3600
BEGUN_A_MINUTE = 60  # from one address; a class sits behind one
ANSWERS_A_MINUTE = 120
UNKNOWN_A_MINUTE = 60
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; object-src 'none'",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
}
Place = Literal["reference"] | Annotated[int, Field(ge=0, le=99)]
Number = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class Answer(BaseModel):
    """What the page sends: seconds heard of each sound in the order shown, and the answer itself."""

    trial: str = Field(max_length=64)
    heard: list[Number] = Field(max_length=64)
    seconds: Number | None = None
    choice: int | None = None
    strength: int = 1
    scores: list[int] | None = Field(default=None, max_length=64)


def router(studio: Studio) -> APIRouter:
    """The pages of one studio's links."""
    routes = APIRouter(prefix="/listen", include_in_schema=False)
    links = studio.judging.links
    begun, answers, unknown = map(
        TokenBuckets, (BEGUN_A_MINUTE, ANSWERS_A_MINUTE, UNKNOWN_A_MINUTE)
    )

    @routes.get("/static/{name}")
    def asset(name: str) -> FileResponse:
        if name not in ASSETS:
            raise HTTPException(404, "There is no such file.")
        return FileResponse(ASSETS[name], headers={"Cache-Control": "public, max-age=600"})

    @routes.get("/{token}")
    def page(request: Request, token: str) -> Response:
        _limit(unknown, address_of(request), spend=False)
        try:
            link, test = links.open(token)
        except NotFound as error:
            _limit(unknown, address_of(request))
            return answered(pages.note("No such test", str(error)), 404)
        except StudioError as error:
            return answered(pages.note("Closed", str(error)), 410)
        rater = rater_of(studio, request, token)
        if rater is None:
            return answered(pages.begin(link, test))
        shown = links.present(rater)
        return answered(pages.trial(rater, shown) if shown else pages.thanks(rater))

    @routes.post("/{token}/begin")
    def begin(
        request: Request,
        token: str,
        name: Annotated[str, Form(max_length=1000)] = "",
        again: Annotated[bool, Form()] = False,
    ) -> Response:
        _limit(begun, address_of(request))
        try:
            link, test = links.open(token)
        except NotFound as error:
            return answered(pages.note("No such test", str(error)), 404)
        except StudioError as error:
            return answered(pages.note("Closed", str(error)), 410)
        try:
            if len(name) > MAX_NAME:
                raise StudioError(f"A name has at most {MAX_NAME} characters.", "name")
            rater = links.begin(token, name, again, (NOBODY, *studio.settings.users))
        except (StorageError, StudioError) as error:
            known = studio.store.links.named(token, " ".join(name.split()))
            return answered(pages.begin(link, test, name, str(error), known is not None), 400)
        return remember(RedirectResponse(f"../{token}", 303), request, rater)

    @routes.post("/{token}/answer")
    def answer(request: Request, token: str, given: Answer) -> dict[str, int]:
        _, test = links.open(token)
        rater = required(studio, request, token)
        _limit(answers, rater.key)
        shown = links.present(rater, given.trial)
        clips = [
            *filter(None, [shown.reference if shown else None]),
            *(shown.clips if shown else ()),
        ]
        if len(given.heard) != len(clips):
            raise StudioError(
                f"Say of each of the {len(clips)} sounds how long it was heard.", "heard"
            )
        require_heard(clips, given.heard)
        values = (
            {"choice": given.choice, "strength": given.strength}
            if test.kind == "ab"
            else {"scores": given.scores}
        )
        seconds = None if given.seconds is None else round(given.seconds, 1)
        links.vote(rater, given.trial, values, seconds)
        return {"done": len(studio.store.tests.votes(test.id, rater.name)), "of": test.trials}

    @routes.get("/{token}/sound/{trial}/{place}")
    def sound(request: Request, token: str, trial: str, place: Place) -> FileResponse:
        links.open(token)
        rater = required(studio, request, token)
        at = REFERENCE_PLACE if place == "reference" else int(place)
        return FileResponse(
            blind(studio, links.sound(rater, trial, at)),
            media_type="audio/flac",
            headers={"Cache-Control": "private, max-age=3600"},
        )

    return routes


def _limit(buckets: TokenBuckets, name: str, spend: bool = True) -> None:
    """Refuse who asks too often."""
    wait_s = buckets.take(name) if spend else buckets.wait_s(name)
    if wait_s:
        raise HTTPException(
            429, f"Too many requests. Wait {wait_s:.0f} s.", {"Retry-After": str(int(wait_s) + 1)}
        )


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else ""


def answered(text: str, status: int = 200) -> HTMLResponse:
    """A page that nothing keeps or embeds."""
    return HTMLResponse(text, status, HEADERS)


def rater_of(studio: Studio, request: Request, token: str) -> LinkRater | None:
    """Who sends a request, as the browser's cookie says."""
    return studio.store.links.rater(token, request.cookies.get(COOKIE, ""))


def required(studio: Studio, request: Request, token: str) -> LinkRater:
    """Who sends a request. Raises 401 for nobody."""
    rater = rater_of(studio, request, token)
    if rater is None:
        raise HTTPException(401, "Open the link of the test again and give your name first.")
    return rater


def remember(response: Response, request: Request, rater: LinkRater) -> Response:
    """Let this browser go on as this rater."""
    response.set_cookie(
        COOKIE,
        rater.key,
        max_age=REMEMBERED_S,
        path=f"{request.scope.get('root_path', '')}/listen/{rater.token}",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


def blind(studio: Studio, clip: ClipRow) -> Path:
    """The sound of a clip as a FLAC file without anything that says what it is; made once."""
    kept = studio.store.folder("cache") / "blind" / f"{clip.hash}.flac"
    if not kept.exists():
        if not clip.path.exists():
            raise HTTPException(410, "This sound is no longer there.")
        kept.parent.mkdir(parents=True, exist_ok=True)
        samples, rate = soundfile.read(clip.path, dtype="float32", always_2d=True)
        draft = kept.with_suffix(f".{secrets.token_hex(4)}.tmp")
        soundfile.write(draft, samples, rate, format="FLAC", subtype="PCM_24")
        draft.replace(kept)
    return kept
