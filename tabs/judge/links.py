"""Giving a listening test to others: its links, who came by each, and their completion codes."""

from __future__ import annotations

from html import escape

from engines.studio import Studio
from storage import LinkRater, LinkRow, TestRow
from tabs.judge.trials import button
from tabs.ui import live
from tabs.ui.keyed import keyed
from tabs.ui.player import when

ABOUT = (
    "Who has the link can take this test in a page of its own, without a password, and can see nothing else "
    "here. Close the link to end that; answers stay."
)
HERE_ONLY = (
    "This studio answers to this machine only, so the link opens nowhere else. Start it with "
    "--host and --auth to give the test to others."
)
PLACEHOLDER = (
    "e.g. You will hear the same sentence by two voices. Judge the voice, not the sentence."
)
ACTIONS = ("share", "new-link", "close-link", "reopen-link")


def after(studio: Studio, action: str, given: str, test_id: str, text: str) -> str:
    """Do what a click in the panel asks; gives the id of the test that is shared."""
    links = studio.store.links
    if action == "new-link":
        links.create(test_id, text)
    elif action in ("close-link", "reopen-link"):
        links.close(given, action == "close-link")
    return given if action == "share" else test_id


def links_html(studio: Studio, test: TestRow, reachable: bool) -> str:
    """The panel of one test."""
    links = studio.store.links.list(test.id)
    cards = "".join(link_html(link, studio.store.links.raters(link.token), test) for link in links)
    warning = "" if reachable else f'<p class="state warn">{HERE_ONLY}</p>'
    new = keyed(
        f"new link {len(links)}",
        f'<label for="link-message">Message to the listeners</label><textarea id="link-message" rows="3" '
        f'maxlength="2000" placeholder="{escape(PLACEHOLDER, quote=True)}"></textarea>'
        f"{button('Make a link', 'new-link', test.id, 'primary')}",
        'class="link-new" data-form',
    )
    return f"""
<div class="trial-head"><h3>Share “{escape(test.name)}”</h3><span class="grow"></span>
  {button("All tests", "list")}</div>
<p class="quiet">{ABOUT}</p>{warning}
{cards}{new}"""


def link_html(link: LinkRow, raters: list[LinkRater], test: TestRow) -> str:
    """One link with who came by it."""
    token = escape(link.token, quote=True)
    closed = live.badge("closed", "warn") if link.closed else ""
    switch = (
        button("Open again", "reopen-link", link.token, "small")
        if link.closed
        else button("Close the link", "close-link", link.token, "small")
    )
    rows = "".join(
        f"<tr><td>{escape(row.name)}</td><td>{row.done} of {test.trials}</td>"
        f"<td><code>{row.code if row.done >= test.trials else '–'}</code></td></tr>"
        for row in raters
    )
    table = (
        '<div class="table-scroll"><table class="results-table"><thead><tr><th>Listener</th>'
        f"<th>Answered</th><th>Completion code</th></tr></thead><tbody>{rows}</tbody></table></div>"
        if raters
        else '<p class="quiet">Nobody has begun yet.</p>'
    )
    message = f"<blockquote>{escape(link.message)}</blockquote>" if link.message else ""
    return f"""
<section class="card test-link" data-link="{token}">
  <p class="link-line"><a href="listen/{token}" target="_blank" rel="noopener">listen/{token}</a>{closed}</p>
  {message}{table}
  <div class="buttons">
    <button type="button" class="act primary small" data-copy="listen/{token}">Copy the link</button>
    {switch}<span class="grow"></span><span class="quiet">made {when(link.created_at)}</span></div>
</section>"""
