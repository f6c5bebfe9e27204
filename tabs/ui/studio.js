/* What the page does by itself: shortcuts, theme, players, pieces of running jobs.
   SHORTCUTS is filled in from tabs/ui/shortcuts.py. */
(() => {
  "use strict";
  const SHORTCUTS = __SHORTCUTS__;
  const visible = (element) => element && element.offsetParent !== null;
  const first = (selector) => [...document.querySelectorAll(selector)].find(visible);

  /* ---- theme ---- */
  const isDark = () => document.body.classList.contains("dark");
  function setDark(dark) {
    document.body.classList.toggle("dark", dark);
    localStorage.setItem("studio-theme", dark ? "dark" : "light");
    document.querySelectorAll(".picture img").forEach(showPicture);
  }
  function startTheme() {
    const kept = localStorage.getItem("studio-theme");
    if (kept) document.body.classList.toggle("dark", kept === "dark");
  }

  /* ---- pictures and players ---- */
  function showPicture(image) {
    const source = isDark() ? image.dataset.dark : image.dataset.light;
    if (source && image.getAttribute("src") !== source) image.setAttribute("src", source);
  }
  function moveCursor(audio) {
    const picture = audio.closest(".clip")?.querySelector(".picture");
    if (!picture || !audio.duration) return;
    const left = +picture.dataset.left, right = +picture.dataset.right;
    const share = left + (right - left) * (audio.currentTime / audio.duration);
    const cursor = picture.querySelector(".cursor");
    cursor.style.left = `${100 * share}%`;
    cursor.style.display = "block";
  }
  function follow(audio) {
    moveCursor(audio);
    if (!audio.paused && audio.isConnected) requestAnimationFrame(() => follow(audio));
  }
  function seek(picture, event) {
    const audio = picture.closest(".clip")?.querySelector("audio");
    if (!audio || !audio.duration) return;
    const box = picture.getBoundingClientRect();
    const left = +picture.dataset.left, right = +picture.dataset.right;
    const share = ((event.clientX - box.left) / box.width - left) / (right - left);
    audio.currentTime = Math.min(Math.max(share, 0), 1) * audio.duration;
    moveCursor(audio);
  }

  /* pausing before the sound has come is no error */
  const start = (audio) => audio.play().catch((error) => {
    if (error.name !== "AbortError") console.warn(error.message);
  });

  /* one hidden player for the play buttons in lists */
  const listPlayer = new Audio();
  let listButton = null;
  function setListButton(button) {
    if (listButton) listButton.textContent = "▶";
    listButton = button;
    if (button) button.textContent = "❚❚";
  }
  function toggleList(button) {
    if (listButton === button && !listPlayer.paused) { listPlayer.pause(); return; }
    const source = new URL(button.dataset.play, document.baseURI).href;
    if (listPlayer.src !== source) listPlayer.src = source;
    start(listPlayer);
    setListButton(button);
  }
  listPlayer.addEventListener("pause", () => setListButton(null));
  listPlayer.addEventListener("ended", () => setListButton(null));

  document.addEventListener("play", (event) => {
    /* one sound at a time */
    for (const other of document.querySelectorAll("audio")) if (other !== event.target) other.pause();
    if (event.target !== listPlayer) listPlayer.pause();
    live.stop();
    if (event.target.tagName === "AUDIO") follow(event.target);
  }, true);

  document.addEventListener("click", (event) => {
    const play = event.target.closest("[data-play]");
    if (play) { event.stopPropagation(); toggleList(play); return; }
    const picture = event.target.closest(".picture");
    if (picture) { seek(picture, event); return; }
    if (event.target.closest('[data-action="theme"]')) setDark(!isDark());
  }, true);

  /* ---- pieces of a running job, played without a gap as they are made ---- */
  const live = {
    context: null, job: "", next: 0, wanted: 0, until: 0, sources: [], fetching: false, ended: false,
    muted: "", firstSoundAt: 0,
    see(mark) {
      const job = mark.dataset.job, pieces = +mark.dataset.pieces;
      if (job !== this.job) {
        if (mark.dataset.ended === "true" || !this.armed) return;
        this.stop();
        Object.assign(this, { job, next: 0, until: 0, firstSoundAt: 0, armed: false, muted: "" });
      }
      this.wanted = pieces;
      this.pump();
    },
    async pump() {
      if (this.fetching || this.muted === this.job || this.next >= this.wanted) return;
      this.fetching = true;
      const job = this.job, piece = this.next;
      try {
        const answer = await fetch(`live/${job}/${piece}.wav`);
        if (answer.ok && job === this.job && this.muted !== job) {
          const sound = await this.context.decodeAudioData(await answer.arrayBuffer());
          this.play(sound);
        }
        this.next = piece + 1;
      } finally { this.fetching = false; }
      if (job === this.job) this.pump();
    },
    play(sound) {
      const source = this.context.createBufferSource();
      source.buffer = sound;
      source.connect(this.context.destination);
      const at = Math.max(this.context.currentTime + 0.02, this.until);
      source.start(at);
      if (!this.firstSoundAt) this.firstSoundAt = performance.now();
      this.until = at + sound.duration;
      this.sources.push(source);
    },
    arm() {
      /* called from a click or key press, when browsers allow sound */
      this.context = this.context || new AudioContext();
      this.context.resume();
      this.armed = true;
      this.armedAt = performance.now();
    },
    get playing() { return this.context && this.until > this.context.currentTime; },
    stop() {
      this.sources.forEach((source) => { try { source.stop(); } catch (error) { /* had ended */ } });
      this.sources = [];
      this.until = 0;
      this.muted = this.job;
    },
  };
  window.studioLive = live;
  document.addEventListener("click", (event) => {
    if (event.target.closest(".studio-generate")) {
      document.querySelectorAll("audio").forEach((audio) => audio.pause());
      live.arm();
      awaited = true;
    }
  }, true);

  /* ---- the result that was asked for comes into sight ---- */
  let awaited = false;
  const takes = new WeakSet();
  function lookForTakes() {
    for (const take of document.querySelectorAll(".take")) {
      if (takes.has(take)) continue;
      takes.add(take);
      if (!awaited || !visible(take)) continue;
      awaited = false;
      const box = take.getBoundingClientRect();
      if (box.top < 0 || box.top > innerHeight * 0.7) take.scrollIntoView({ block: "start", behavior: "smooth" });
    }
  }

  /* ---- menus: typing replaces what is chosen ---- */
  const MENU = 'input[role="listbox"], input[role="combobox"], input[aria-controls="dropdown-options"]';
  let entered = null;
  document.addEventListener("focusin", (event) => {
    entered = event.target.matches?.(MENU) ? event.target : null;
  });
  document.addEventListener("click", () => {
    /* the click that entered the menu has put the caret somewhere, and the menu draws itself first */
    const field = entered;
    entered = null;
    if (field) setTimeout(() => field === document.activeElement && field.select(), 60);
  }, true);

  /* ---- shortcuts ---- */
  const actions = {
    tab: (name) => document.getElementById(`tab-${name}-button`)?.click(),
    generate: () => first(".studio-generate")?.click(),
    theme: () => setDark(!isDark()),
    blur: () => document.activeElement?.blur(),
    search() {
      actions.tab("history");
      let tries = 40;
      const focus = () => {
        const field = first("#history-search textarea, #history-search input");
        if (field) field.focus(); else if (tries--) setTimeout(focus, 50);
      };
      focus();
    },
    play() {
      if (live.playing) { live.stop(); return; }
      if (!listPlayer.paused) { listPlayer.pause(); return; }
      const audio = first(".clip audio");
      if (audio) { if (audio.paused) start(audio); else audio.pause(); return; }
      const button = first("[data-play]");
      if (button) toggleList(button);
    },
  };
  const typing = (target) =>
    target.isContentEditable || /^(TEXTAREA|SELECT)$/.test(target.tagName) ||
    (target.tagName === "INPUT" && !/^(checkbox|radio|range|button)$/.test(target.type));
  let pressed = [];
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.metaKey || event.repeat) return;
    if (event.key === "Shift" || event.key === "Control") return;
    pressed = event.ctrlKey ? [event.key] : [...pressed, event.key].slice(-2);
    const inField = typing(event.target);
    const onControl = /^(BUTTON|A|AUDIO|INPUT)$/.test(event.target.tagName);
    for (const shortcut of SHORTCUTS) {
      const keys = shortcut.keys;
      if (!(shortcut.action in actions)) continue; /* other scripts act on theirs */
      if (shortcut.control !== event.ctrlKey || (inField && !shortcut.while_typing)) continue;
      if (pressed.slice(-keys.length).join("\n") !== keys.join("\n")) continue;
      if (keys[0] === " " && onControl) continue;
      pressed = [];
      event.preventDefault();
      actions[shortcut.action](shortcut.target);
      return;
    }
  });

  /* ---- new content ---- */
  function look() {
    document.querySelectorAll(".picture img").forEach(showPicture);
    document.querySelectorAll(".live").forEach((mark) => live.see(mark));
    lookForTakes();
  }
  function begin() {
    startTheme();
    look();
    new MutationObserver(look).observe(document.body, {
      childList: true, subtree: true, attributes: true, attributeFilter: ["data-pieces", "data-job", "src"],
    });
  }
  if (document.body) begin(); else document.addEventListener("DOMContentLoaded", begin);
})();
