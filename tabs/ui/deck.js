/* The deck: sounds that are decoded at once and play in step, one of them heard. The HTML is made in
   tabs/ui/deck.py; judge.js tells decks what was clicked and typed. */
(() => {
  "use strict";
  const shown = (element) => element && element.isConnected && element.offsetParent !== null;
  const first = (selector) => [...document.querySelectorAll(selector)].find(shown);
  /* reports to Python: a gr.HTML around the node passes it on, see JUDGE_JS */
  const tell = (node, detail) => node.dispatchEvent(new CustomEvent("judge", { detail, bubbles: true }));

  let audio = null;
  const context = () => (audio = audio || new AudioContext());
  const FADE_S = 0.01;
  const seconds = (value) => `${value.toFixed(1)} s`;

  class Deck {
    constructor(root) {
      this.buffers = [];
      this.active = 0;
      this.offset = 0;
      this.playing = false;
      this.loop = true;
      this.heard = [];
      this.error = "";
      this.opened = performance.now();
      this.attach(root);
      this.load();
    }
    attach(root) {
      this.root = root;
      this.sides = [...root.querySelectorAll("[data-source]")].sort((a, b) => a.dataset.index - b.dataset.index);
      this.must = this.sides.map((side) => +side.dataset.must);
      /* only in Compare can matching be switched; there a new grid keeps what was chosen */
      this.matched = root.dataset.kind === "compare" ? Deck.matched : true;
      this.gains = this.sides.map((side) => (this.matched ? +side.dataset.gain : 1));
      if (this.active >= this.sides.length) this.active = 0;
      while (this.heard.length < this.sides.length) this.heard.push(0);
      this.draw();
      this.show();
    }
    async load() {
      try {
        this.buffers = await Promise.all(this.sides.map(async (side) => {
          const answer = await fetch(side.dataset.source);
          if (!answer.ok) throw new Error(`Sound ${side.dataset.name} could not be loaded (${answer.status}).`);
          return context().decodeAudioData(await answer.arrayBuffer());
        }));
        this.length = Math.max(...this.buffers.map((buffer) => buffer.duration));
      } catch (error) { this.error = error.message; }
      this.draw();
      this.show();
    }
    get position() {
      if (!this.playing) return this.offset;
      return Math.min(this.offset + Math.max(0, context().currentTime - this.startedAt), this.length);
    }
    play() {
      if (!this.buffers.length || this.playing) return;
      for (const other of decks.values()) if (other !== this) other.pause();
      document.querySelectorAll("audio").forEach((element) => element.pause());
      window.studioLive?.stop();
      context().resume();
      if (this.offset >= this.length - 0.01) this.offset = 0;
      this.startedAt = context().currentTime + 0.02;
      this.nodes = this.buffers.map((buffer, index) => {
        const node = context().createBufferSource(), gain = context().createGain();
        node.buffer = buffer;
        gain.gain.value = index === this.active ? this.gains[index] : 0;
        node.connect(gain).connect(context().destination);
        if (this.offset < buffer.duration) node.start(this.startedAt, this.offset);
        return { node, gain };
      });
      this.playing = true;
      this.last = performance.now();
      this.tick();
    }
    pause() {
      if (!this.playing) return;
      this.offset = this.position;
      this.playing = false;
      for (const { node } of this.nodes) { try { node.stop(); } catch (error) { /* never started */ } }
      this.show();
    }
    toggle() { if (this.playing) this.pause(); else this.play(); }
    end() {
      /* its node may belong to another deck by now and isn't drawn again */
      this.ended = true;
      if (this.playing) this.pause();
    }
    listen(index) {
      if (index < 0 || index >= this.sides.length) return;
      this.active = index;
      if (this.playing) {
        this.nodes.forEach(({ gain }, each) => {
          gain.gain.setTargetAtTime(each === index ? this.gains[each] : 0, context().currentTime, FADE_S / 3);
        });
      } else this.play();
      this.draw();
      this.show();
    }
    match(on) {
      Deck.matched = this.matched = on;
      this.gains = this.sides.map((side) => (on ? +side.dataset.gain : 1));
      if (this.playing) this.listen(this.active); else this.show();
    }
    seek(share) {
      const was = this.playing;
      this.pause();
      this.offset = Math.min(Math.max(share, 0), 1) * this.length;
      if (was) this.play(); else this.show();
    }
    tick() {
      if (!this.playing) return;
      if (!shown(this.root)) { this.pause(); return; }
      const now = performance.now(), position = this.position;
      if (position > this.offset && position < this.buffers[this.active].duration)
        this.heard[this.active] += Math.min((now - this.last) / 1000, 0.5);
      this.last = now;
      if (position >= this.length - 0.005) {
        this.pause();
        this.offset = 0;
        if (this.loop) this.play();
      }
      this.show();
      if (this.playing) requestAnimationFrame(() => this.tick());
    }
    get missing() {
      return this.sides.map((side, index) => ({ name: side.dataset.name, left: this.must[index] - this.heard[index] }))
        .filter((side) => side.left > 0.005);
    }
    get reason() {
      if (this.error) return this.error;
      if (!this.buffers.length) return "Loading the sounds…";
      const missing = this.missing;
      if (missing.length) {
        const parts = missing.map(({ name, left }) => `${seconds(Math.max(left, 0.1))} more of ${name}`);
        return `First listen to ${parts.length > 3 ? `${missing.length} more sounds` : parts.join(" and ")}.`;
      }
      const untouched = this.root.querySelectorAll('input[type="range"]:not([data-touched])').length;
      if (untouched) return `Now move every slider; ${untouched} still to go.`;
      const grades = this.root.querySelector("[data-grade]");
      if (grades && !this.root.querySelector('[data-grade][aria-checked="true"]')) return "Now choose a grade.";
      return "";
    }
    show() {
      if (this.ended) return;
      const root = this.root, ready = !this.reason && !root.dataset.fixed;
      this.sides.forEach((side, index) => {
        const active = index === this.active && this.buffers.length > 0;
        side.classList.toggle("active", active);
        side.classList.toggle("playing", active && this.playing);
        const button = side.matches("button") ? side : side.querySelector(".deck-side");
        button.setAttribute("aria-pressed", String(active));
        const share = this.must[index] ? Math.min(this.heard[index] / this.must[index], 1) : 1;
        const meter = side.querySelector(".heard");
        meter.firstElementChild.style.width = `${100 * share}%`;
        meter.classList.toggle("full", share >= 1);
      });
      const play = root.querySelector(".deck-play");
      play.textContent = this.playing ? "❚❚" : "▶";
      play.disabled = !this.buffers.length;
      root.querySelector(".deck-loop").setAttribute("aria-pressed", String(this.loop));
      root.querySelector('[data-deck-do="match"]')?.setAttribute("aria-pressed", String(this.matched));
      root.classList.toggle("matched", this.matched);
      if (this.length) {
        const time = `${seconds(this.position)} / ${seconds(this.length)}`, bar = root.querySelector(".deck-bar");
        root.querySelector(".deck-time").textContent = time;
        bar.setAttribute("aria-valuemax", this.length.toFixed(1));
        bar.setAttribute("aria-valuenow", this.position.toFixed(1));
        bar.setAttribute("aria-valuetext", time);
        root.querySelector(".cursor").style.left = `${100 * this.position / this.length}%`;
        for (const picture of root.querySelectorAll(".compare-picture")) {
          const left = +picture.dataset.left, right = +picture.dataset.right, cursor = picture.querySelector(".cursor");
          cursor.style.left = `${100 * (left + (right - left) * (this.position / this.length))}%`;
          cursor.style.display = "block";
        }
      }
      const why = root.querySelector(".deck-why"), reason = this.reason;
      if (why) {
        const done = root.querySelector("[data-ready]")?.dataset.ready || "";
        const text = root.dataset.fixed ? "" : reason || done;
        if (why.textContent !== text) why.textContent = text;
        why.classList.toggle("ok", !reason);
      }
      root.querySelectorAll("[data-vote], [data-save]").forEach((button) => {
        const disabled = !ready || root.classList.contains("sending");
        if (button.disabled !== disabled) button.disabled = disabled;
        button.title = disabled && reason ? reason : "";
      });
      root.querySelectorAll("[data-grade]").forEach((grade) => {
        const open = this.buffers.length > 0 && !this.missing.length;
        if (grade.disabled === open) grade.disabled = !open;
      });
    }
    draw() {
      if (this.ended) return;
      /* the waveform of what is heard, as high as the picture allows, so that level tells nothing */
      const canvas = this.root.querySelector("canvas");
      if (!canvas || !this.buffers.length) return;
      const width = (canvas.width = canvas.clientWidth * devicePixelRatio || 600);
      const height = (canvas.height = canvas.clientHeight * devicePixelRatio || 60);
      /* beside a reference, always that one: else one could see which sound equals it */
      const drawn = this.root.dataset.kind === "mushra" ? 0 : this.active;
      const paper = canvas.getContext("2d"), buffer = this.buffers[drawn];
      const data = buffer.getChannelData(0), span = width * (buffer.duration / this.length);
      const bars = Math.max(1, Math.floor(span / (3 * devicePixelRatio))), step = data.length / bars;
      const peaks = Array.from({ length: bars }, (_, bar) => {
        let peak = 0;
        const end = Math.min((bar + 1) * step, data.length), stride = Math.max(1, Math.floor(step / 200));
        for (let place = Math.floor(bar * step); place < end; place += stride) peak = Math.max(peak, Math.abs(data[place]));
        return peak;
      });
      const top = Math.max(...peaks) || 1;
      paper.clearRect(0, 0, width, height);
      paper.fillStyle = getComputedStyle(this.root).getPropertyValue("--primary-500") || "#14b8a6";
      peaks.forEach((peak, bar) => {
        const tall = Math.max(2, (peak / top) * height * 0.92);
        paper.fillRect(bar * 3 * devicePixelRatio, (height - tall) / 2, 2 * devicePixelRatio, tall);
      });
    }
    get strength() { return +(this.root.querySelector('[data-strength][aria-pressed="true"]')?.dataset.strength || 1); }
    send(detail) {
      if (this.reason || this.root.dataset.fixed || this.root.classList.contains("sending")) return;
      const root = this.root;
      root.classList.add("sending");
      this.show();
      tell(root, { trial: root.dataset.trial || "", deck: root.dataset.deck, heard: this.heard,
        seconds: (performance.now() - this.opened) / 1000, ...detail });
      /* an answer draws the deck anew; if none comes, let the person try again */
      setTimeout(() => { root.classList.remove("sending"); if (root.isConnected) this.show(); }, 4000);
    }
    vote(choice) { this.send({ action: "vote", choice, strength: this.strength }); }
    save() {
      const ranges = [...this.root.querySelectorAll('input[type="range"]')];
      const grade = this.root.querySelector('[data-grade][aria-checked="true"]');
      const rows = [...this.root.querySelectorAll(".rank-row")];
      if (ranges.length) this.send({ action: "vote", scores: ranges.map((range) => +range.value) });
      else if (grade) this.send({ action: "vote", scores: [+grade.dataset.grade] });
      else if (rows.length) this.send({ action: "rank", order: rows.map((row) => +row.dataset.index) });
    }
    grade(value) {
      if (!this.buffers.length || this.missing.length) return;
      this.root.querySelectorAll("[data-grade]").forEach((button) =>
        button.setAttribute("aria-checked", String(+button.dataset.grade === value)));
      this.show();
    }
    move(row, by) {
      const rows = [...this.root.querySelectorAll(".rank-row")], to = rows.indexOf(row) + by;
      if (this.root.dataset.fixed || to < 0 || to >= rows.length) return;
      if (by < 0) rows[to].before(row); else rows[to].after(row);
      this.renumber();
    }
    renumber() {
      this.root.querySelectorAll(".rank-row .place").forEach((place, index) => { place.textContent = `${index + 1}.`; });
    }
    keep() { return this.sides[this.active]?.closest(".rank-row"); }
  }

  Deck.matched = false;

  const decks = new Map();
  function look() {
    for (const root of document.querySelectorAll(".deck")) {
      const id = root.dataset.deck, known = decks.get(id);
      if (!known) decks.set(id, new Deck(root));
      else if (known.root !== root) known.attach(root);
    }
    /* a node may go, or come to stand for other sounds: then what it stood for before falls silent */
    for (const [id, deck] of decks)
      if (!deck.root.isConnected || deck.root.dataset.deck !== id) { decks.delete(id); deck.end(); }
  }
  const deckOf = (node) => decks.get(node.closest(".deck")?.dataset.deck);
  const current = () => { const root = first(".deck"); return root && decks.get(root.dataset.deck); };
  window.studioDecks = { shown, first, tell, deckOf, current };

  function begin() {
    look();
    new MutationObserver(look).observe(document.body,
      { childList: true, subtree: true, attributes: true, attributeFilter: ["data-deck"] });
    new ResizeObserver(() => decks.forEach((deck) => deck.draw())).observe(document.body);
  }
  if (document.body) begin(); else document.addEventListener("DOMContentLoaded", begin);
})();
