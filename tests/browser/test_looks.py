"""How every tab looks: nothing leaves its box at any width, and axe-core finds no serious fault."""

from __future__ import annotations

from pathlib import Path

import axe_playwright_python
import pytest

from tests.browser.steps import go, tone, wait_for_clip

TABS = (
    "home", "speech", "batch", "judge", "compare", "evaluation", "datasets", "training",
    "adapters", "history", "models", "jobs", "projects", "help",
)  # fmt: skip
WIDTHS = (1440, 1024, 768, 390)
AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
AXE_JS = """async () => {
  const found = await axe.run(document, {resultTypes: ['violations'], elementRef: false});
  return found.violations.filter((v) => ['serious', 'critical'].includes(v.impact)).flatMap(
    (v) => v.nodes.map((n) => [v.id, n.target.flat().join(' '), n.html.slice(0, 250),
      (n.any[0] || n.all[0] || n.none[0] || {}).message || '']));
}"""
# elements that hold text directly, let it flow out, and are too narrow for it; lines cut off by their list
SPILLED_JS = """() => [...document.querySelectorAll('body *')].filter((each) =>
  each.offsetParent !== null
  && (each.matches('.clip-list > li')
    || [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
  && getComputedStyle(each).overflowX === 'visible' && each.clientWidth > 0
  && each.scrollWidth > each.clientWidth + 2
).map((each) => `<${each.tagName.toLowerCase()} class="${each.className}"> `
  + `${each.scrollWidth} > ${each.clientWidth}: ${each.textContent.trim().slice(0, 60)}`)"""


@pytest.fixture(scope="module")
def page(browser, site):
    """One window for this file, on a studio that holds clips with long and short names."""
    for text in ("Hello", "A sentence that is much longer than the lists are wide " * 3, "x" * 90):
        site.studio.make("tone", text=text, timeout_s=60)
    failed = site.studio.submit("tone", {"text": "broken", "fail": "error:Because of the test."})
    site.studio.wait(failed.id, 30)
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(site.url)
    page.wait_for_selector("#tab-speech-button")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    tone(page, "A player to look at")
    wait_for_clip(page, "A player to look at")
    yield page
    context.close()


@pytest.mark.parametrize("tab", TABS)
def test_nothing_leaves_its_box(page, tab):
    go(page, tab)
    page.wait_for_timeout(400)
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_timeout(150)
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            found.append(f"{width}: the page is {wide} px wide")
        found += [f"{width}: {each}" for each in page.evaluate(SPILLED_JS)]
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.wait_for_selector("#tab-help-button >> visible=true")
    assert found == [], "\n".join(found)


@pytest.mark.parametrize("tab", TABS)
def test_axe_finds_no_serious_fault(page, tab):
    go(page, tab)
    page.wait_for_timeout(400)
    found = []
    for theme in ("light", "dark"):
        dark = page.evaluate("document.body.classList.contains('dark')")
        if dark != (theme == "dark"):
            page.click("[data-action=theme]")
            page.wait_for_timeout(350)
        found += [(theme, *each) for each in page.evaluate(AXE_JS)]
    assert found == [], "\n".join(map(str, found))
