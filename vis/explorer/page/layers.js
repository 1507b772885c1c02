// The list of layers, which can be filtered and walked by keys.

import { element } from "./elements.js";

export class Layers {
  /** `picked` is called with the number of a layer, or null for the model's output. */
  constructor(list, filter, counted, about, picked) {
    Object.assign(this, { list, filter, counted, picked, chosen: null, here: 0 });
    const rows = about.layers.map((each, number) => ({
      number,
      path: each.path,
      told: `${each.type}, ${each["output shape"]}, ${each.filters} filters${each.activation === "-" ? "" : `, ${each.activation}`}${each.guided === "-" ? "" : `, guided: ${each.guided}`}`,
    }));
    if (about.outputs[0] === null) rows.unshift({ number: null, path: "the model's output", told: "its classes, before a softmax" });
    this.rows = rows;
    filter.addEventListener("input", () => { this.here = 0; this.draw(this.chosen); });
    filter.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowDown" && event.key !== "Enter") return;
      event.preventDefault();
      list.focus();
    });
    list.addEventListener("keydown", (event) => {
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 };
      if (event.key in steps) this.here = Math.min(Math.max(this.here + steps[event.key], 0), this.shown.length - 1);
      else if (event.key === "Enter" || event.key === " ") this.pick(this.here);
      else return;
      event.preventDefault();
      this.reach(true);
    });
  }

  /** Draw the rows that the filter leaves. */
  draw(chosen) {
    if (chosen !== this.chosen || this.shown === undefined) this.here = Math.max(0, this.rows.findIndex((row) => row.number === chosen));
    this.chosen = chosen;
    const words = this.filter.value.toLowerCase();
    this.shown = this.rows.filter((row) => `${row.path} ${row.told}`.toLowerCase().includes(words));
    if (words) this.here = Math.min(Math.max(this.here, 0), this.shown.length - 1);
    this.counted.textContent = words ? `${this.shown.length} of ${this.rows.length}` : "";
    this.list.replaceChildren(...this.shown.map((row, i) => {
      const depth = row.number === null ? 0 : row.path.split("/").length - 1;
      const drawn = element("li", { role: "option", id: `layer-${row.number ?? "output"}`, "aria-selected": String(row.number === chosen) },
        element("span", { text: row.path }), element("small", { text: row.told }));
      drawn.style.paddingLeft = `${0.6 + depth}rem`;
      drawn.addEventListener("click", () => this.pick(i));
      return drawn;
    }));
    this.reach();
  }

  reach(scroll) {
    [...this.list.children].forEach((row, i) => row.classList.toggle("here", i === this.here));
    const row = this.list.children[this.here];
    if (row) this.list.setAttribute("aria-activedescendant", row.id); else this.list.removeAttribute("aria-activedescendant");
    if (scroll) row?.scrollIntoView({ block: "nearest" });
  }

  pick(i) {
    if (this.shown[i] === undefined) return;
    this.here = i;
    this.picked(this.shown[i].number);
    this.reach(true);
  }
}
