/* The learning loop's pages: values under the pointer in charts, copying a command. */
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const make = (name, attributes, text) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  /* ---- charts: the nearest point of every line ---- */
  let probed = null;
  function clear() {
    if (probed) probed.replaceChildren();
    probed = null;
  }
  function nearest(points, x) {
    let low = 0, high = points.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < x) low = middle; else high = middle;
    }
    return Math.abs(points[low][0] - x) <= Math.abs(points[high][0] - x) ? points[low] : points[high];
  }
  function probe(svg, event) {
    const group = svg.querySelector(".probe"), view = svg.viewBox.baseVal;
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * view.width;
    const lines = JSON.parse(svg.dataset.lines).filter((line) => line.points.length);
    if (probed !== group) clear();
    probed = group;
    group.replaceChildren();
    const found = lines.map((line) => ({ name: line.name, at: nearest(line.points, x) }));
    if (!found.length) return;
    const right = found[0].at[0] > view.width / 2;
    group.append(make("line", { x1: found[0].at[0], x2: found[0].at[0], y1: 10, y2: view.height - 24 }));
    for (const { at } of found) group.append(make("circle", { cx: at[0], cy: at[1], r: 3.5 }));
    const words = [`step ${found[0].at[2]}`, ...found.map(({ name, at }) =>
      lines.length > 1 ? `${name}: ${at[3]}` : at[3])];
    words.forEach((word, row) => group.append(make("text", {
      x: found[0].at[0] + (right ? -8 : 8), y: 24 + 15 * row, "text-anchor": right ? "end" : "start",
    }, word)));
  }
  document.addEventListener("pointermove", (event) => {
    const svg = event.target.closest?.("svg[data-lines]");
    if (svg) probe(svg, event); else clear();
  });

  /* ---- from an adapter to its blind test in Judge ---- */
  function when(find, then, tries = 100) {
    const found = find();
    if (found) then(found); else if (tries) setTimeout(when, 60, find, then, tries - 1);
  }
  const shown = (selector) => () =>
    [...document.querySelectorAll(selector)].find((element) => element.offsetParent);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('[data-action="open-test"]');
    if (!link) return;
    const test = CSS.escape(link.dataset.id), click = (element) => element.click();
    document.getElementById("tab-judge-button")?.click();
    when(shown("#tab-judge-tests-button"), (tab) => {
      tab.click();
      when(shown(`[data-judge="take"][data-id="${test}"]`), click);
    });
  });

  /* ---- copying ---- */
  function copied(button) {
    const text = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = text; }, 1500);
  }
  function copyBySelection(text) {
    /* without https browsers offer no clipboard but to a selection */
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const text = button.dataset.copy;
    if (navigator.clipboard && window.isSecureContext) {
      navigator.clipboard.writeText(text).catch(() => copyBySelection(text));
    } else copyBySelection(text);
    copied(button);
  }, true);
})();
