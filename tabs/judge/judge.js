/* The Judge tab: stars, tags and notes that keep themselves, clicks and keys on decks.
   Help lists the keys from tabs/ui/shortcuts.py; the sounds themselves are deck.js. */
(() => {
  "use strict";
  const { first, tell, deckOf, current } = window.studioDecks;
  const rater = () => document.querySelector("#studio-rater [data-rater]")?.dataset.rater || "";

  /* ---- one way to an endpoint ---- */
  let last = Promise.resolve();
  function call(name, ...data) {
    /* one after the other: of two quick clicks the second must win */
    const done = last.then(() => send(name, data));
    last = done.catch(() => {});
    return done;
  }
  async function send(name, data) {
    const answer = await fetch(`gradio_api/run/${name}`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ data }),
    });
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok || body.error) throw new Error(body.error || body.detail || `The studio answered ${answer.status}.`);
    return body.data[0];
  }
  function complain(error) {
    const note = document.createElement("div");
    note.className = "judge-note";
    note.setAttribute("role", "alert");
    note.textContent = error.message;
    document.body.append(note);
    setTimeout(() => note.remove(), 8000);
  }

  /* ---- stars, tags, notes, favourite ---- */
  function paint(stars, value) {
    stars.dataset.value = value;
    for (const star of stars.children) star.setAttribute("aria-checked", String(+star.dataset.star === value));
  }
  async function rate(stars, star) {
    const before = +stars.dataset.value, value = before === star ? 0 : star;
    const { clip, criterion } = stars.dataset;
    paint(stars, value);
    try {
      if (value) await call("rate", clip, value, criterion, rater());
      else await call("unrate", clip, criterion, rater());
      tell(stars, { action: "rated", clip });
    } catch (error) { paint(stars, before); complain(error); }
  }
  async function mark(chip, opinion) {
    const before = chip.getAttribute("aria-pressed"), clip = chip.closest("[data-clip]").dataset.clip;
    chip.setAttribute("aria-pressed", String(opinion !== "none"));
    try { await call("tag", clip, chip.dataset.mark, opinion, rater()); }
    catch (error) { chip.setAttribute("aria-pressed", before); complain(error); }
  }
  function addMark(button) {
    const form = button.closest(".add-mark"), field = form.querySelector("input");
    const tag = field.value.trim(), opinion = button.dataset.addMark;
    if (!tag) { field.focus(); return; }
    const chip = document.createElement("button");
    Object.assign(chip, { type: "button", className: `chip mark ${opinion}`, textContent: tag });
    Object.assign(chip.dataset, { mark: tag, opinion });
    chip.setAttribute("aria-pressed", "false");
    form.closest(".marks").querySelector(`.marks-${opinion}`).append(chip);
    field.value = "";
    mark(chip, opinion);
  }
  let noting;
  function keepNotes(field) {
    clearTimeout(noting);
    const clip = field.closest("[data-clip]").dataset.clip, text = field.value;
    if (text === field.dataset.kept) return;
    noting = setTimeout(() => {
      call("edit_clip", clip, null, null, text, null, null)
        .then(() => { field.dataset.kept = text; }).catch(complain);
    }, 400);
  }
  async function favour(button) {
    const on = button.getAttribute("aria-pressed") !== "true";
    const clip = button.closest("[data-clip]").dataset.clip;
    try {
      await call("edit_clip", clip, null, on, null, null, null);
      button.setAttribute("aria-pressed", String(on));
      button.textContent = on ? "★ Favourite" : "☆ Favourite";
    } catch (error) { complain(error); }
  }

  /* ---- links to copy ---- */
  async function copy(button) {
    const link = new URL(button.dataset.copy, document.baseURI).href, before = button.textContent;
    try {
      await navigator.clipboard.writeText(link);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = before; }, 2000);
    } catch (error) { prompt("Copy this link:", link); }  // pages without https have no clipboard
  }

  /* ---- clicks ---- */
  document.addEventListener("click", (event) => {
    /* before the row in which the stars may stand takes the click for its own */
    const star = event.target.closest?.("[data-star]");
    if (star) { event.stopPropagation(); rate(star.parentElement, +star.dataset.star); }
  }, true);
  document.addEventListener("click", (event) => {
    const at = (selector) => event.target.closest?.(selector);
    const chip = at("[data-mark]"), add = at("[data-add-mark]");
    if (chip) { mark(chip, chip.getAttribute("aria-pressed") === "true" ? "none" : chip.dataset.opinion); return; }
    if (add) { addMark(add); return; }
    if (at("[data-favour]")) { favour(at("[data-favour]")); return; }
    const told = at("[data-judge]");
    if (told) {
      const text = told.closest("[data-form]")?.querySelector("textarea")?.value || "";
      tell(told, { action: told.dataset.judge, id: told.dataset.id || "", text });
      return;
    }
    if (at("[data-copy]")) { copy(at("[data-copy]")); return; }
    const deck = at(".deck") && deckOf(event.target);
    if (!deck) return;
    const does = at("[data-deck-do]")?.dataset.deckDo;
    if (does === "play") deck.toggle();
    else if (does === "loop") { deck.loop = !deck.loop; deck.show(); }
    else if (does === "match") deck.match(!deck.matched);
    else if (at("[data-move]")) deck.move(at(".rank-row"), +at("[data-move]").dataset.move);
    else if (at("[data-vote]")) deck.vote(+at("[data-vote]").dataset.vote);
    else if (at("[data-save]")) deck.save();
    else if (at("[data-grade]")) deck.grade(+at("[data-grade]").dataset.grade);
    else if (at("[data-strength]")) setStrength(deck, +at("[data-strength]").dataset.strength);
    else if (at(".deck-side")) deck.listen(deck.sides.indexOf(at("[data-source]")));
  });

  /* ---- pictures on which one seeks, by a click or by drawing the cursor along ---- */
  let drawn = null;
  function seekTo(event) {
    const { deck, picture } = drawn, box = picture.getBoundingClientRect();
    const left = +(picture.dataset.left ?? 0), right = +(picture.dataset.right ?? 1);
    deck.seek(((event.clientX - box.left) / box.width - left) / (right - left));
  }
  document.addEventListener("pointerdown", (event) => {
    const picture = event.button === 0 && event.target.closest?.(".deck .deck-bar, .deck .compare-picture");
    const deck = picture && deckOf(picture);
    if (!deck?.length) return;
    drawn = { deck, picture, playing: deck.playing };
    deck.pause();
    seekTo(event);
  });
  document.addEventListener("pointermove", (event) => { if (drawn) seekTo(event); });
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => {
    if (drawn?.playing) drawn.deck.play();
    drawn = null;
  });
  const STEP_S = 0.5;
  function seekKey(bar, key) {
    const deck = deckOf(bar), step = { ArrowLeft: -STEP_S, ArrowDown: -STEP_S, ArrowRight: STEP_S, ArrowUp: STEP_S }[key];
    if (!deck?.length) return false;
    if (step) deck.seek((deck.position + step) / deck.length);
    else if (key === "Home" || key === "End") deck.seek(key === "End" ? 1 : 0);
    else return false;
    return true;
  }
  function setStrength(deck, value) {
    if (deck.root.dataset.fixed) return;
    deck.root.querySelectorAll("[data-strength]").forEach((step) =>
      step.setAttribute("aria-pressed", String(+step.dataset.strength === value)));
  }
  document.addEventListener("input", (event) => {
    if (event.target.matches?.("[data-notes]")) keepNotes(event.target);
    const range = event.target.closest?.('.deck input[type="range"]');
    if (!range) return;
    range.dataset.touched = "yes";
    range.closest(".mushra-column").querySelector("output").textContent = range.value;
    deckOf(range).show();
  });
  document.addEventListener("pointerdown", (event) => {
    /* a click on the slider's present value counts as an answer too */
    const range = event.target.closest?.('.deck input[type="range"]');
    if (range) setTimeout(() => range.dispatchEvent(new Event("input", { bubbles: true })), 0);
  });

  /* ---- rows that are dragged into order ---- */
  let dragged = null;
  document.addEventListener("dragstart", (event) => {
    dragged = event.target.closest?.(".rank-row");
    if (dragged) { event.dataTransfer.effectAllowed = "move"; dragged.classList.add("dragged"); }
  });
  document.addEventListener("dragover", (event) => {
    const over = dragged && event.target.closest?.(".rank-row");
    if (!over || over.parentElement !== dragged.parentElement) return;
    event.preventDefault();
    if (over === dragged) return;
    const box = over.getBoundingClientRect();
    if (event.clientY < box.top + box.height / 2) over.before(dragged); else over.after(dragged);
    deckOf(dragged).renumber();
  });
  document.addEventListener("dragend", () => { dragged?.classList.remove("dragged"); dragged = null; });

  /* ---- keys ---- */
  const typing = (target) =>
    target.isContentEditable || /^(TEXTAREA|SELECT)$/.test(target.tagName) ||
    (target.tagName === "INPUT" && !/^(checkbox|radio|range|button)$/.test(target.type));
  const onDeck = {
    " ": (deck) => deck.toggle(),
    l: (deck) => { deck.loop = !deck.loop; deck.show(); },
    q: (deck) => setStrength(deck, 1), w: (deck) => setStrength(deck, 2), e: (deck) => setStrength(deck, 3),
    ArrowLeft: (deck) => deck.listen(Math.max(deck.active - 1, 0)),
    ArrowRight: (deck) => deck.listen(Math.min(deck.active + 1, deck.sides.length - 1)),
  };
  function deckKey(deck, key) {
    const kind = deck.root.dataset.kind;
    if (kind === "ab" && "012".includes(key)) { deck.vote(+key); return true; }
    if (kind === "mos" && "12345".includes(key)) { deck.grade(+key); return true; }
    if (kind === "rank" && "abcdef".includes(key)) { deck.listen("abcdef".indexOf(key)); return true; }
    if (kind === "compare" && /^[1-8]$/.test(key)) { deck.listen(+key - 1); return true; }
    if (kind === "compare" && key === "m") { deck.match(!deck.matched); return true; }
    if (kind === "mushra" && /^[0-9]$/.test(key)) { deck.listen(+key); return true; }
    if (kind === "rank" && (key === "ArrowUp" || key === "ArrowDown")) {
      deck.move(deck.keep(), key === "ArrowUp" ? -1 : 1);
      return true;
    }
    if (key === "Enter") {
      const next = first(".deck [data-judge='next']");
      if (next) next.click(); else deck.save();
      return true;
    }
    if (onDeck[key]) { onDeck[key](deck); return true; }
    return false;
  }
  function rateKey(card, key) {
    if ("12345".includes(key)) { rate(card.querySelector('[data-criterion="overall"]'), +key); return true; }
    const does = { Enter: "next", ArrowRight: "next", ArrowLeft: "back" }[key];
    if (does) { tell(card, { action: does }); return true; }
    if (key === "f") { favour(card.querySelector("[data-favour]")); return true; }
    return false;
  }
  let tabbed = false;
  document.addEventListener("pointerdown", () => { tabbed = false; }, true);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Tab") tabbed = true;
    if (event.altKey || event.metaKey || event.ctrlKey || event.repeat || typing(event.target)) {
      if (event.key === "Enter" && event.target.closest?.(".add-mark")) addMark(event.target.closest(".add-mark").querySelector("[data-add-mark]"));
      return;
    }
    /* a control that was reached by Tab keeps its own keys; one that was clicked does not */
    const own = event.key === "Enter" || event.key === " ";
    if (own && tabbed && event.target.matches("button, a, audio, summary")) return;
    if (event.target.matches("input[type=range]") && event.key.startsWith("Arrow")) return;
    if (tabbed && event.target.matches(".deck-bar") && seekKey(event.target, event.key)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    const deck = current(), card = first(".rate-card");
    const used = deck ? deckKey(deck, event.key) : card ? rateKey(card, event.key) : false;
    if (used) { event.preventDefault(); event.stopImmediatePropagation(); }
  }, true);

  window.studioJudge = { get deck() { return current(); }, call };
})();
