"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const list = byId("cards");
  const cards = [...list.children];
  const [sort, equal, find, many] = ["sort", "equal", "find", "many"].map(byId);
  const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const number = (text) => (text === "" ? NaN : Number(text));
  // What has no number comes last, whichever way the others are sorted.
  const numbers = (key, sign) => (a, b) => {
    const [x, y] = [number(a.dataset[key]), number(b.dataset[key])];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return sign * (x - y);
  };
  const orders = {
    row: () => 0,
    name: (a, b) => words.compare(a.dataset.name, b.dataset.name),
    "score-down": numbers("score", -1),
    "score-up": numbers("score", 1),
    prediction: numbers("prediction", 1),
    target: numbers("target", 1),
    equal: numbers("equal", 1),
  };
  let page = 0;
  let chosen = cards;

  const has = (key) => cards.some((card) => card.dataset[key] !== "");
  for (const key of ["prediction", "target", "equal", "score-down", "score-up"]) {
    if (!has(key.split("-")[0])) sort.querySelector(`[value="${key}"]`).remove();
  }
  byId("which").hidden = !has("equal");

  function choose() {
    const asked = find.value.trim().toLowerCase();
    const row = (card) => Number(card.dataset.row);
    chosen = cards
      .filter((card) => equal.value === "" || card.dataset.equal === equal.value)
      .filter((card) => card.dataset.words.toLowerCase().includes(asked))
      .sort((a, b) => orders[sort.value](a, b) || row(a) - row(b));
    page = 0;
    show();
  }

  function show() {
    const size = Number(many.value);
    const pages = Math.max(1, Math.ceil(chosen.length / size));
    page = Math.min(Math.max(page, 0), pages - 1);
    const first = page * size;
    const shown = chosen.slice(first, first + size);
    list.replaceChildren(...shown);
    const count = chosen.length.toLocaleString("en");
    byId("status").textContent = shown.length
      ? `${(first + 1).toLocaleString("en")} to ${(first + shown.length).toLocaleString("en")} of ${count}`
      : "No map is like this.";
    for (const nav of document.querySelectorAll(".pages")) {
      nav.hidden = pages === 1;
      nav.querySelector(".where").textContent = `Page ${page + 1} of ${pages}`;
      nav.querySelector('[data-step="-1"]').disabled = page === 0;
      nav.querySelector('[data-step="1"]').disabled = page === pages - 1;
    }
  }

  for (const button of document.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => {
      page += Number(button.dataset.step);
      show();
      if (button.closest(".below")) {
        byId("list").focus();
        byId("list").scrollIntoView();
      }
    });
  }
  for (const control of [sort, equal, many]) control.addEventListener("change", choose);
  find.addEventListener("input", choose);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("controls").hidden = false;
  choose();
})();
