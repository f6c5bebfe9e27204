"""The pages of a test taken by link, as HTML: the beginning, a trial, the end. They load nothing else."""

from __future__ import annotations

from html import escape

from engines.studio.judging.designs import TRIAL_S
from engines.studio.judging.judging import criterion
from engines.studio.judging.links import trial_name
from engines.studio.judging.listening import Presentation
from engines.studio.settings import VERSION
from storage import LinkRater, LinkRow, TestRow
from tabs.judge.trials import INSIDE
from tabs.ui import deck
from tabs.ui.rater import MAX_NAME

TITLE = "Listening test"
DUTIES = {
    "ab": "In each trial you hear two sounds and choose one, or say that there is no difference.",
    "mos": "In each trial you hear one sound and grade it from 1 (bad) to 5 (excellent).",
    "mushra": "In each trial you compare several sounds with a reference and grade each from 0 to 100.",
}


def page(title: str, body: str, scripts: tuple[str, ...] = ()) -> str:
    """A whole page around ``body``."""
    loaded = "".join(
        f'<script src="static/{name}?{VERSION}" defer></script>' for name in ("listen.js", *scripts)
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="static/judge.css?{VERSION}">
<link rel="stylesheet" href="static/listen.css?{VERSION}">
{loaded}
</head>
<body><main>{body}</main></body>
</html>"""


def note(heading: str, text: str) -> str:
    """A page that only says something."""
    return page(TITLE, f'<h1>{escape(heading)}</h1><p class="lead">{escape(text)}</p>')


def begin(
    link: LinkRow, test: TestRow, name: str = "", problem: str = "", known: bool = False
) -> str:
    """What the test is, and who takes it. ``known``: somebody of this name came by this link before."""
    minutes = max(1, round(test.trials * TRIAL_S[str(test.kind)] / 60))
    told = "".join(f"<p>{escape(line)}</p>" for line in link.message.splitlines() if line.strip())
    again = (
        '<button class="act" name="again" value="true">That was me: go on where I stopped</button>'
        if known
        else ""
    )
    trials = "1 trial" if test.trials == 1 else f"{test.trials} trials"
    asked = criterion(str(test.criterion)).asked(str(test.kind))
    return page(
        TITLE,
        f"""
<h1>{TITLE}</h1>
<div class="lead">{told}</div>
<ul class="facts">
  <li>{trials}, about {minutes} {"minute" if minutes == 1 else "minutes"}.</li>
  <li>{DUTIES[str(test.kind)]} <b>{escape(asked)}</b></li>
  <li>Use headphones in a quiet place.</li>
  <li>Each answer is saved at once. You can stop at any time and go on later by the same link.</li>
</ul>
<form method="post" action="{escape(link.token)}/begin">
  <label>Your name, or the code that you were given
    <input name="name" required maxlength="{MAX_NAME}" autocomplete="name" value="{escape(name)}"
      {'aria-invalid="true" aria-describedby="problem"' if problem else ""}></label>
  <p id="problem" role="alert">{escape(problem)}</p>
  <div class="buttons"><button class="act primary">Begin</button>{again}</div>
</form>""",
    )


def trial(rater: LinkRater, shown: Presentation) -> str:
    """One trial with how far the rater is."""
    kind, name = str(shown.test.kind), trial_name(rater, shown.trial.id)
    places = [*(["reference"] if shown.reference else []), *map(str, range(len(shown.clips)))]
    addresses = [f"{rater.token}/sound/{name}/{place}" for place in places]
    number = shown.done + 1
    done = 100 * shown.done / shown.of
    inside = INSIDE[kind](shown, addresses)
    return page(
        f"Trial {number} of {shown.of}",
        f"""
<header class="progress"><b>Trial {number} of {shown.of}</b><span class="quiet">{escape(rater.name)}</span>
  <div class="track" role="progressbar" aria-label="Trials answered" aria-valuemin="0"
    aria-valuemax="{shown.of}" aria-valuenow="{shown.done}"><i style="width:{done:.1f}%"></i></div></header>
{deck.deck(name, kind, inside, f'data-trial="{name}" data-answer="{escape(rater.token)}/answer"')}
<p class="problem" role="alert" hidden></p>""",
        ("deck.js", "judge.js"),
    )


def thanks(rater: LinkRater) -> str:
    """After the last trial: thanks, and the code by which the rater shows to have finished."""
    return page(
        "Thank you",
        f"""
<h1>Thank you, {escape(rater.name)}</h1>
<p class="lead">All {rater.done} trials are answered and saved. You can close this page.</p>
<p>Your completion code, in case you were asked for one:</p>
<p class="code" aria-label="Completion code">{escape(rater.code)}</p>""",
    )
