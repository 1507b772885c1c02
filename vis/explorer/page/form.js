// The form: target, method, modifiers, options, and what stands beside the map.

import { compute } from "./api.js";
import { bar, element, png } from "./elements.js";
import { BESIDE, whole } from "./state.js";

const at = (name) => document.getElementById(name);
const OWN = ["grad_modifier", "backprop_modifier"];
const RULES = ["guided", "rectified", "relu", "deconv"];
// More names are not a list that a person reads.
const MOST_NAMES = 5000;

export class Form {
  /** `changed` is called with what changes of a setting, and whether the address keeps its place in the history. */
  constructor(about, page, changed, toggled) {
    Object.assign(this, { about, page, changed, toggled });
    this.choices(at("method"), about.methods.map((each) => each.name), "saliency");
    at("layer-names").append(...about.layers.map((each) => element("option", { value: each.path })));
    const names = Object.entries(about.labels ?? {});
    if (names.length && names.length <= MOST_NAMES) {
      at("names").append(element("option", { value: "", text: "predicted" }), ...names.map(([number, name]) => element("option", { value: number, text: `${number}: ${name}` })));
      at("names").addEventListener("change", () => changed({ target: whole(at("names").value) }));
    } else at("names").parentElement.hidden = true;
    for (const [kind, name] of Object.entries(BESIDE)) {
      const box = element("input", { type: "checkbox", id: `show-${kind}`, "aria-describedby": `show-${kind}-why` });
      const why = about.unfit[kind] ?? "";
      box.disabled = why !== "";
      box.addEventListener("change", () => toggled(kind, box.checked));
      at("beside").append(element("p", {}, box, " ", element("label", { for: box.id, text: name }), " ", element("span", { class: "why", id: `show-${kind}-why`, text: why })));
    }
    at("form").addEventListener("submit", (event) => event.preventDefault());
    at("method").addEventListener("change", () => {
      const takes = this.method(at("method").value).options.map((each) => each.name);
      changed({ method: at("method").value, options: Object.fromEntries(Object.entries(this.setting.options).filter(([name]) => takes.includes(name))) });
    });
    at("target").addEventListener("input", () => changed({ target: whole(at("target").value) }, true));
    for (const name of OWN) at(name).addEventListener("change", () => this.option(name, at(name).value, this.method(this.setting.method).options.find((each) => each.name === name).default));
    at("grid").addEventListener("toggle", () => this.filters());
  }

  method(name) {
    return this.about.methods.find((each) => each.name === name) ?? this.about.methods[0];
  }

  choices(select, names, chosen) {
    select.replaceChildren(...names.map((name) => element("option", { value: name, text: name || "as the method has it" })));
    select.value = chosen;
  }

  option(name, value, fallback) {
    const options = { ...this.setting.options };
    if (value === fallback) delete options[name]; else options[name] = value;
    this.changed({ options });
  }

  /** Return why guided and rectified change nothing here; empty if they may. */
  unreached(layer) {
    const rows = layer === null ? this.about.layers : this.about.layers.slice(0, layer + 1);
    return rows.some((row) => !["-", "no"].includes(row.guided)) ? ""
      : `guided and rectified change nothing here: no activation ${layer === null ? "of the model" : "up to this layer"} that they reach.`;
  }

  draw({ setting, more }) {
    this.setting = setting;
    const takes = this.method(setting.method).options;
    const output = this.about.outputs.includes(setting.layer);
    at("method").value = setting.method;
    at("target").value = setting.target ?? "";
    at("target-label").textContent = output ? "Class" : `Filter of ${this.about.layers[setting.layer]?.path}`;
    const labelled = this.about.labelled.includes(setting.layer);
    at("names").value = labelled ? String(setting.target ?? "") : "";
    at("names").disabled = !labelled;
    for (const kind of Object.keys(BESIDE)) at(`show-${kind}`).checked = more.includes(kind);
    for (const name of OWN) this.modifier(name, takes.find((each) => each.name === name));
    this.others(takes.filter((each) => !OWN.includes(each.name)));
    at("grid").hidden = setting.layer === null;
    at("grid-name").textContent = `Filters of ${this.about.layers[setting.layer]?.path} on this sample`;
    this.filters();
  }

  modifier(name, taken) {
    const { setting } = this;
    const select = at(name);
    this.choices(select, taken?.choices ?? ["none"], taken ? setting.options[name] ?? taken.default : "none");
    select.disabled = taken === undefined;
    let why = taken ? "" : `${setting.method} takes none.`;
    const unreached = name === "backprop_modifier" ? this.unreached(setting.layer) : "";
    if (taken && unreached) {
      for (const each of select.options) if (RULES.includes(each.value)) each.disabled = true;
      why = unreached;
    }
    at(`${name}-why`).textContent = why;
  }

  others(others) {
    const { setting } = this;
    if (at("options").dataset.method !== setting.method) {
      at("options").dataset.method = setting.method;
      at("options").replaceChildren(...others.map((each) => {
        const id = `option-${each.name}`;
        const field = element(each.choices.length ? "select" : "input", { id, "data-name": each.name, ...(each.kind === "layer" ? { list: "layer-names" } : {}) });
        if (each.kind === "flag") field.type = "checkbox";
        if (each.choices.length) this.choices(field, each.choices, each.default);
        field.addEventListener("change", () => this.option(each.name, each.kind === "flag" ? String(field.checked) : field.value.trim() || each.default, each.default));
        return element("p", {}, element("label", { for: id, text: each.name }), field);
      }));
    }
    for (const each of others) {
      const field = at(`option-${each.name}`);
      const value = setting.options[each.name] ?? each.default;
      if (each.kind === "flag") field.checked = value === "true"; else field.value = value;
    }
    at("more-options").hidden = others.length === 0;
  }

  /** Show what each filter of the layer gives for the sample. */
  async filters() {
    const { picture, layer, target } = this.setting;
    for (const button of at("filters").querySelectorAll("button")) button.setAttribute("aria-pressed", String(Number(button.dataset.target) === target));
    const key = `${picture} ${layer}`;
    if (layer === null || !at("grid").open || this.drawn === key) return;
    this.drawn = key;
    at("filters-state").textContent = "Computing.";
    try {
      const found = await compute("filters", { page: this.page, setting: { picture, layer } });
      if (this.drawn !== key) return;
      at("filters").classList.toggle("tiles", found.sheet !== null);
      at("filters").replaceChildren(...(found.sheet === null ? bars(found) : tiles(found)).map(([number, button]) => {
        button.dataset.target = number;
        button.setAttribute("aria-pressed", String(number === this.setting.target));
        button.addEventListener("click", () => this.changed({ target: number }));
        return button;
      }));
      const shown = at("filters").children.length;
      at("filters-state").textContent = (found.sheet === null ? "The largest values." : "All on one scale: bright is large, or red above zero and blue below.") + (shown < found.count ? ` ${shown} of ${found.count}.` : "");
    } catch (error) {
      if (error.name === "AbortError") return;
      this.drawn = undefined;
      at("filters").replaceChildren();
      at("filters-state").textContent = error.message;
    }
  }
}

function bars({ means }) {
  const size = (value) => Math.abs(value ?? 0);
  const order = means.map((value, number) => [number, value]).sort(([, a], [, b]) => size(b) - size(a)).slice(0, 20);
  return order.map(([number, value]) => [number, bar(`filter ${number}`, value, size(value) / Math.max(size(order[0][1]), 1e-30))]);
}

function tiles({ means, sheet, columns }) {
  const rows = Math.ceil(means.length / columns);
  return means.map((value, number) => {
    const button = element("button", { type: "button", "aria-label": `filter ${number}`, title: `filter ${number}` });
    const share = (i, count) => `${count > 1 ? (100 * i) / (count - 1) : 0}%`;
    Object.assign(button.style, {
      backgroundImage: `url(${png(sheet)})`,
      backgroundSize: `${100 * columns}% ${100 * rows}%`,
      backgroundPosition: `${share(number % columns, columns)} ${share(Math.floor(number / columns), rows)}`,
    });
    return [number, button];
  });
}
