// A column: the maps of one setting, and what stands beside them.

import { compute } from "./api.js";
import { element, png, short } from "./elements.js";
import { BESIDE } from "./state.js";

const page = [...crypto.getRandomValues(new Uint8Array(8))].map((each) => each.toString(16)).join("");
const SIGNED = "Signed: red is above zero, blue below, white is zero.";
const UNSIGNED = "No value is negative: black is zero, bright is large.";
const compiled = new Set();
let made = 0;

/** Say for how long something is computed, and how far it is, until it ends. */
class Clock {
  constructor(...parts) {
    this.state = element("span");
    this.time = element("span", { "aria-hidden": "true" });
    this.bar = element("progress", { max: 1, "aria-label": "How far it is" });
    this.element = element("p", { class: "why" }, element("span", { role: "status" }, this.state), this.time, this.bar, ...parts);
    this.end("");
  }

  begin(doing) {
    const began = performance.now();
    this.end(this.state.textContent);
    const tick = () => {
      const seconds = (performance.now() - began) / 1000;
      if (seconds > 0.3) this.state.textContent = `${doing} Esc drops it.`;
      this.time.textContent = ` ${seconds.toFixed(1)} s${this.far}`;
    };
    this.ticking = setInterval(tick, 100);
  }

  /** What has begun and not ended, the outermost first: layers, and the samples of noise for each. */
  told({ done, total, what }) {
    if (done === total) this.parts.delete(what); else if (total !== 1) this.parts.set(what, { done, total });
    this.far = [...this.parts].map(([name, part]) => `, ${part.done}${part.total ? ` of ${part.total}` : ""} ${name}`).join("");
    const [outer] = this.parts.values();
    this.bar.hidden = !outer?.total;
    if (outer?.total) this.bar.value = outer.done / outer.total;
  }

  end(text) {
    clearInterval(this.ticking);
    this.far = "";
    this.parts = new Map();
    this.bar.hidden = true;
    this.state.textContent = text;
    this.time.textContent = "";
  }
}

export class Column {
  constructor(compiles, unpin) {
    this.page = `${page}.${made++}`;
    this.compiles = compiles;
    this.title = element("h3");
    this.clock = new Clock();
    this.wrong = element("p", { role: "alert" });
    this.maps = element("div", { class: "maps" });
    this.warnings = element("ul", { class: "warnings", "aria-label": "Warnings" });
    this.sections = element("div");
    this.beside = new Map();
    this.element = element("article", {}, this.title, this.clock.element, this.wrong, this.maps, this.warnings, this.sections);
    if (unpin) {
      this.button = element("button", { type: "button", text: "Unpin" });
      this.button.addEventListener("click", unpin);
      this.element.append(this.button);
    }
  }

  /** Draw what is asked now; an older answer that still comes is not drawn. `urls` are those of the sample's pictures. */
  async draw(setting, more, title, sample) {
    const key = JSON.stringify(setting);
    if (key === this.key && !this.wrong.textContent) return this.asked ? (this.more = more) : this.extend(setting, more);
    this.stop();
    this.clear();
    this.key = key;
    this.more = more;
    const asked = this.asked = new AbortController();
    const kind = JSON.stringify([setting.layer, setting.method, setting.options]);
    this.element.classList.add("old");
    this.title.textContent = title;
    this.button?.setAttribute("aria-label", `Unpin ${title}`);
    this.wrong.textContent = "";
    this.clock.begin(this.compiles && !compiled.has(kind) ? "Compiling, once for each layer and modifier." : "Computing.");
    try {
      const found = await compute("explain", { page: this.page, setting }, { signal: asked.signal, told: (news) => this.clock.told(news) });
      if (this.asked !== asked) return;
      compiled.add(kind);
      this.asked = undefined;
      this.doubted = found.doubted;
      this.show(found, title, sample);
      await this.extend(setting, this.more);
    } catch (error) {
      if (this.asked !== asked || error.name === "AbortError") return;
      this.asked = undefined;
      this.clock.end("");
      this.warnings.replaceChildren();
      this.wrong.textContent = error.message;
    }
  }

  show(found, title, sample) {
    this.maps.replaceChildren(...found.maps.map((map) => {
      const slot = sample.slots.findIndex((each) => each.name === map.name);
      const heading = found.maps.length > 1 ? [element("h4", { text: map.name })] : [];
      return element("div", { "data-slot": map.name }, ...heading, ...(map.picture ? pictured(map, title, sample, slot) : figured(map)));
    }));
    this.warnings.replaceChildren(...found.warnings.map((text) => element("li", { text })));
    this.element.classList.remove("old");
    this.clock.end(`Computed in ${found.seconds.toFixed(2)} s.`);
  }

  /** Show what stands beside the map; the sanity curve always where the rule makes it needed. */
  async extend(setting, more) {
    const wanted = Object.keys(BESIDE).filter((kind) => more.includes(kind) || (kind === "sanity" && this.doubted));
    for (const [kind, section] of this.beside) if (!wanted.includes(kind)) this.leave(kind, section);
    for (const kind of wanted) {
      if (this.beside.has(kind) || this.key !== JSON.stringify(setting)) continue;
      await this.add(kind, setting);
    }
  }

  async add(kind, setting) {
    const clock = new Clock();
    const wrong = element("p", { role: "alert" });
    const body = element("div");
    const section = { asked: new AbortController(), clock, element: element("section", { "data-beside": kind }, element("h4", { text: BESIDE[kind] }), clock.element, wrong, body) };
    this.beside.set(kind, section);
    this.sections.append(section.element);
    clock.begin("Computing.");
    try {
      const found = await compute("beside", { page: this.page, setting, more: [kind] }, { signal: section.asked.signal, told: (news) => clock.told(news) });
      clock.end("");
      const parts = [element("p", { text: found.text })];
      if (found.figure) parts.push(element("img", { class: found.size ? "made" : "figure", src: png(found.figure), alt: found.size ? found.text : `${BESIDE[kind]}, see the table` }));
      if (found.rows.length) parts.push(found.figure ? element("details", {}, element("summary", { text: "In numbers" }), table(kind, found.rows)) : table(kind, found.rows));
      parts.push(...found.warnings.map((text) => element("p", { class: "why", text })));
      body.replaceChildren(...parts);
    } catch (error) {
      if (error.name === "AbortError") return;
      clock.end("");
      wrong.textContent = error.message;
    }
    section.asked = undefined;
  }

  leave(kind, section) {
    section.asked?.abort();
    section.clock.end("");
    section.element.remove();
    this.beside.delete(kind);
  }

  clear() {
    for (const [kind, section] of this.beside) this.leave(kind, section);
  }

  /** Forget what is asked, here and on the server; tell whether something was. */
  stop() {
    const asked = this.asked;
    this.asked = undefined;
    this.key = asked ? undefined : this.key;
    this.clock.end(asked ? "" : this.clock.state.textContent);
    asked?.abort();
    return asked !== undefined;
  }

  /** Drop what is asked, and what is computed beside the map. */
  drop() {
    if (this.stop()) this.clock.end("Dropped. What is grey belongs to an earlier setting.");
    for (const section of this.beside.values()) {
      if (section.asked === undefined) continue;
      section.asked.abort();
      section.asked = undefined;
      section.clock.end("Dropped.");
    }
  }
}

function pictured(map, title, sample, slot) {
  const views = element("div", { class: "views" });
  const url = slot < 0 ? undefined : sample.urls[slot];
  const shown = [["Map", image(png(map.picture), `Map: ${title}`)]];
  if (url) shown.unshift(["Input", image(url, sample.name)]);
  if (url && map.over) shown.push(["Overlay", image(url, `The map over ${sample.name}`, "under"), image(png(map.over), "", "over")]);
  for (const [name, ...images] of shown) views.append(element("figure", {}, element("span", { class: "frame" }, ...images), element("figcaption", { text: name })));
  const ends = map.signed ? [map.low, 0, map.high] : [map.low, map.high];
  const beyond = map.cut ? { 0: map.signed ? "≤ " : "", [ends.length - 1]: "≥ " } : {};
  const numbers = ends.map((each, i) => element("span", { text: (beyond[i] ?? "") + short(each) }));
  const sign = (map.signed ? SIGNED : UNSIGNED) + (map.cut ? " 1 % of the values lie beyond the ends." : "");
  return [views, element("div", { class: "scale" }, image(png(map.bar), ""), element("div", { class: "ends" }, ...numbers), element("p", { class: "why", text: sign }))];
}

function figured(map) {
  return [map.figure ? image(png(map.figure), map.text, "figure scale") : element("p", { class: "why scale", text: map.text })];
}

function table(kind, [header, ...rows]) {
  const head = element("tr", {}, ...header.map((text) => element("th", { scope: "col", text })));
  const lines = rows.map(([first, ...rest]) => element("tr", {}, element("th", { scope: "row", text: first }), ...rest.map((text) => element("td", { text }))));
  return element("div", { class: "wide", tabindex: 0, role: "region", "aria-label": `${BESIDE[kind]} in numbers` }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...lines)));
}

function image(src, alt, kind = "") {
  return element("img", { src, alt, class: kind });
}
