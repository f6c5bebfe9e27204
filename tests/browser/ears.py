"""What a listener hears: the sounds that the browser's audio context plays, and how loud.

``LISTEN`` wraps the browser's own audio classes before the page's scripts run. It knows nothing of the
page, so a page that plays the wrong sound is heard to.
"""

from __future__ import annotations

from typing import Any

FADE_MS = 60  # from one sound to another
LISTEN = """
(() => {
  const sources = new Map(), to = new WeakMap();
  const { connect } = AudioNode.prototype, { start, stop } = AudioBufferSourceNode.prototype;
  AudioNode.prototype.connect = function (target, ...rest) {
    to.set(this, target);
    return connect.call(this, target, ...rest);
  };
  AudioBufferSourceNode.prototype.start = function (when = 0, offset = 0, ...rest) {
    sources.set(this, { when: Math.max(when, this.context.currentTime), offset });
    this.addEventListener("ended", () => sources.delete(this));
    return start.call(this, when, offset, ...rest);
  };
  AudioBufferSourceNode.prototype.stop = function (...rest) {
    sources.delete(this);
    return stop.apply(this, rest);
  };
  const gain = (node) => {
    let product = 1;
    for (let at = to.get(node); at && at !== node.context.destination; at = to.get(at)) {
      if (at.gain) product *= at.gain.value;
    }
    return product;
  };
  window.__heard = () => [...sources].map(([node, { when, offset }]) => ({
    length: node.buffer.duration, gain: gain(node),
    position: offset + Math.max(0, node.context.currentTime - when),
  })).filter((sound) => sound.gain > 0.01 && sound.position < sound.length);
})();
"""


def hears(page: Any, condition: str = "true") -> dict[str, float]:
    """Wait until exactly one sound is audible for which ``condition`` of ``s`` holds, and give it.

    A sound has a ``length`` and a ``position`` in seconds and a ``gain``.
    """
    alone = f"const [s, ...more] = __heard(); return s && !more.length && {condition} ? s : null;"
    return page.wait_for_function(f"() => {{ {alone} }}").json_value()


def silence(page: Any) -> None:
    """Wait until nothing is audible."""
    page.wait_for_function("() => __heard().length === 0")


def ready(page: Any, stage: str) -> None:
    """Wait until the deck in ``stage`` says how long its sounds are."""
    page.wait_for_selector(f"{stage} .deck-time:has-text(' / ')")


def hear(page: Any, stage: str, place: int) -> dict[str, float]:
    """Click the sound at ``place`` of a deck and listen until it counts as heard; gives what was heard."""
    page.locator(f"{stage} .deck-side").nth(place).click()
    meter = page.locator(f"{stage} .heard").nth(place)
    page.wait_for_timeout(FADE_MS)
    for _ in range(200):
        if "full" in (meter.get_attribute("class") or "").split():
            return hears(page)
        page.wait_for_timeout(50)
    raise AssertionError(f"sound {place} of {stage} never counted as heard")


def hear_all(page: Any, stage: str) -> list[float]:
    """Listen to each sound of the deck in ``stage`` long enough; gives their lengths in order."""
    count = page.locator(f"{stage} .deck-side").count()
    return [hear(page, stage, place)["length"] for place in range(count)]
