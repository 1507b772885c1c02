// A column: the input, a map and the overlay of one setting.

import { ask } from "./api.js";

const page = [...crypto.getRandomValues(new Uint8Array(8))].map((each) => each.toString(16)).join("");
const SIGNED = "Signed: red is above zero, blue below, white is zero.";
const UNSIGNED = "No value is negative: black is zero, bright is large.";
const compiled = new Set();
let made = 0;

/** Make an element with a text, classes and children. */
export function element(tag, { text, ...given } = {}, ...children) {
  const found = document.createElement(tag);
  if (text !== undefined) found.textContent = text;
  for (const [name, value] of Object.entries(given)) found.setAttribute(name, value);
  found.append(...children);
  return found;
}

/** Write a number with three digits. */
export function short(value) {
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(2) : Number(value.toPrecision(3)).toString();
}

export class Column {
  constructor(compiles, unpin) {
    this.page = `${page}.${made++}`;
    this.compiles = compiles;
    this.title = element("h3");
    this.input = element("img", { alt: "" });
    this.map = element("img", { alt: "" });
    this.under = element("img", { alt: "", class: "under" });
    this.over = element("img", { alt: "", class: "over" });
    this.bar = element("img", { alt: "" });
    this.ends = element("div", { class: "ends" });
    this.sign = element("p", { class: "why" });
    this.scale = element("div", { class: "scale" }, this.bar, this.ends, this.sign);
    this.warnings = element("ul", { class: "warnings", "aria-label": "Warnings" });
    this.wrong = element("p", { role: "alert" });
    this.state = element("span");
    this.clock = element("span", { "aria-hidden": "true" });
    this.views = element("div", { class: "views" });
    for (const [name, ...shown] of [["Input", this.input], ["Map", this.map], ["Overlay", this.under, this.over]]) {
      this.views.append(element("figure", {}, element("span", { class: "frame" }, ...shown), element("figcaption", { text: name })));
    }
    this.views.hidden = this.scale.hidden = true;
    this.element = element("article", {}, this.title, element("p", { class: "why" }, element("span", { role: "status" }, this.state), this.clock),
      this.wrong, this.views, this.scale, this.warnings);
    if (unpin) {
      this.button = element("button", { type: "button", text: "Unpin" });
      this.button.addEventListener("click", unpin);
      this.element.append(this.button);
    }
  }

  /** Draw what is asked now; an older answer that still comes is not drawn. */
  async draw(setting, title, picture) {
    this.stop();
    const asked = this.asked = new AbortController();
    const key = JSON.stringify([setting.layer, setting.method, setting.options]);
    const began = performance.now();
    this.element.classList.add("old");
    this.title.textContent = title;
    this.button?.setAttribute("aria-label", `Unpin ${title}`);
    this.wrong.textContent = "";
    const first = this.compiles && !compiled.has(key) ? "Compiling, once for each layer and modifier. " : "Computing. ";
    const tick = () => {
      if (performance.now() - began > 300) this.state.textContent = `${first}Esc drops it.`;
      this.clock.textContent = ` ${((performance.now() - began) / 1000).toFixed(1)} s`;
    };
    this.ticking = setInterval(tick, 100);
    try {
      const found = await ask("explain", { page: this.page, setting }, asked.signal);
      if (this.asked !== asked) return;
      compiled.add(key);
      this.show(found, title, picture);
    } catch (error) {
      if (this.asked !== asked || error.name === "AbortError" || error.dropped) return;
      this.end("");
      this.warnings.replaceChildren();
      this.wrong.textContent = error.message;
    }
  }

  show(found, title, picture) {
    this.input.src = this.under.src = picture.url;
    this.map.src = `data:image/png;base64,${found.picture}`;
    this.over.src = `data:image/png;base64,${found.over}`;
    this.bar.src = `data:image/png;base64,${found.bar}`;
    this.input.alt = picture.name;
    this.map.alt = `Map: ${title}`;
    this.under.alt = `The map over ${picture.name}`;
    const ends = found.signed ? [found.low, 0, found.high] : [found.low, found.high];
    const beyond = found.cut ? { 0: found.signed ? "≤ " : "", [ends.length - 1]: "≥ " } : {};
    this.ends.replaceChildren(...ends.map((each, i) => element("span", { text: (beyond[i] ?? "") + short(each) })));
    this.sign.textContent = (found.signed ? SIGNED : UNSIGNED) + (found.cut ? " 1 % of the values lie beyond the ends." : "");
    this.warnings.replaceChildren(...found.warnings.map((text) => element("li", { text })));
    this.views.hidden = this.scale.hidden = false;
    this.element.classList.remove("old");
    this.end(`Computed in ${found.seconds.toFixed(2)} s.`);
  }

  end(text) {
    clearInterval(this.ticking);
    this.asked = undefined;
    this.state.textContent = text;
    this.clock.textContent = "";
  }

  /** Forget what is asked; tell whether something was. */
  stop() {
    const asked = this.asked;
    this.end("");
    asked?.abort();
    return asked !== undefined;
  }

  /** Drop what is asked, on the server too, if it has not begun there. */
  drop() {
    if (!this.stop()) return;
    this.state.textContent = "Dropped. What is grey belongs to an earlier setting.";
    ask("drop", { page: this.page }).catch(() => {});
  }
}
