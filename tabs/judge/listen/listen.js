/* A test taken by link: sends the answer to a trial, then opens the next one as a page of its own, so that
   nothing of a trial is left in the next. The sounds are deck.js, clicks and keys judge.js. */
(() => {
  "use strict";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => document.documentElement.classList.toggle("dark", dark.matches);
  paint();
  dark.addEventListener("change", paint);

  function say(text) {
    const problem = document.querySelector(".problem");
    problem.textContent = text;
    problem.hidden = !text;
  }
  async function send(deck, detail) {
    say("");
    try {
      const answer = await fetch(deck.dataset.answer, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(detail),
      });
      if (answer.ok) { location.reload(); return; }
      const body = await answer.json().catch(() => ({}));
      say(body.detail || body.error?.message || `The answer was not saved (${answer.status}). Try again.`);
    } catch (error) { say("The answer could not be sent. Check your connection and try again."); }
  }
  document.addEventListener("judge", (event) => {
    const deck = event.target.closest(".deck");
    const { trial, heard, seconds, choice, strength, scores, action } = event.detail;
    if (deck && action === "vote") send(deck, { trial, heard, seconds, choice, strength, scores });
  });
})();
