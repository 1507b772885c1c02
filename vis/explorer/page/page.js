// The page: a setting, which the address holds, and the columns that show it.

import { ask, blob, enter, file, look, upload } from "./api.js";
import { Column, element, short } from "./column.js";

const at = (name) => document.getElementById(name);
const OWN = ["grad_modifier", "backprop_modifier"];
const TRUST = "Guided and rectified maps may hardly depend on the weights: check with vis.metrics.sanity_check.";
let about, main;
let pinned = [];  // { setting, column }
let pictures = [];  // { name, url }
let setting = { picture: 0, method: "saliency", layer: null, target: null, options: {} };
let shown = [];  // the layers that the filter leaves, -1 for the output
let here = 0;  // which of them the keys have reached

const say = (text) => { at("said").textContent = text; };
const fail = (error) => { at("failed").textContent = error.message ?? error; at("failed").hidden = false; };
const method = (name) => about.methods.find((each) => each.name === name) ?? about.methods[0];

// ---- the address

function whole(text) {
  return /^-?\d+$/.test(text ?? "") ? Number(text) : null;
}

function written({ method, layer, target, options }) {
  return [["method", method], ["layer", layer], ["target", target], ...Object.entries(options).map(([name, value]) => [`o.${name}`, value])]
    .filter(([, value]) => value !== null && value !== undefined).map(([name, value]) => [name, String(value)]);
}

function read(search) {
  const given = new URLSearchParams(search);
  const found = { picture: whole(given.get("picture")) ?? 0, method: given.get("method") ?? "saliency", layer: whole(given.get("layer")), target: whole(given.get("target")), options: {} };
  for (const [name, value] of given) if (name.startsWith("o.")) found.options[name.slice(2)] = value;
  return found;
}

function address() {
  const parts = new URLSearchParams([["picture", setting.picture], ...written(setting)]);
  for (const each of pinned) parts.append("pin", new URLSearchParams(written(each.setting)).toString());
  return `?${parts}`;
}

function restore(search) {
  setting = read(search);
  for (const each of pinned) each.column.stop();
  pinned = new URLSearchParams(search).getAll("pin").slice(0, 8).map((text) => fixed(read(text)));
  columns();
}

// ---- drawing

const named = ({ layer, target, method, options }) => {
  const where = layer === null ? "the output" : about.layers[layer]?.path ?? `layer ${layer}`;
  const what = layer === null ? "class" : "filter";
  const more = Object.entries(options).map(([name, value]) => `, ${name} ${value}`).join("");
  return `${method} of ${where}, ${target === null ? `predicted ${what}` : `${what} ${target}`}${more}`;
};

function change(part, keep) {
  setting = { ...setting, ...part };
  if (address() !== location.search) history[keep ? "replaceState" : "pushState"](null, "", address());
  form();
  draw();
}

let predicted;
async function draw() {
  strip();
  layers();
  const number = setting.picture;
  const picture = pictures[number];
  if (picture === undefined) {
    say(pictures.length ? `There is no picture ${number}.` : "Add a picture to see maps of it.");
    return;
  }
  try { await loaded(number); } catch (error) { main.wrong.textContent = error.message; return; }
  if (number !== setting.picture) return;
  predict(number);
  main.draw(setting, named(setting), picture);
  for (const each of pinned) {
    // Columns share the picture, and the target where the layer is the same.
    const target = each.setting.layer === setting.layer ? setting.target : each.setting.target;
    const now = { ...each.setting, picture: number, target };
    const key = JSON.stringify(now);
    if (each.key === key) continue;
    each.key = key;
    each.column.draw(now, named(now), picture);
  }
}

async function predict(number) {
  if (predicted === number) { targets(); return; }
  try {
    const found = await ask("predict", { page: main.page, setting: { picture: number } });
    if (number === setting.picture) { predicted = number; predictions(found); }
  } catch (error) {
    if (!error.dropped) at("predictions").replaceChildren(element("p", { role: "alert", text: error.message }));
  }
}

function predictions({ best }) {
  const largest = Math.max(...best.map((each) => Math.abs(each.value)), 1e-30);
  at("predictions").replaceChildren(...best.map(({ target, value }) => {
    const bar = element("span", { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${100 * Math.abs(value) / largest}%`;
    const button = element("button", { type: "button", "data-target": target }, element("span", { text: `class ${target}` }),
      element("span", {}, bar), element("span", { class: "number", text: short(value) }));
    button.addEventListener("click", () => change({ target, layer: null }));
    return button;
  }));
  targets();
}

function targets() {
  for (const button of at("predictions").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(setting.layer === null && setting.target === Number(button.dataset.target)));
  }
}

// ---- pictures

async function loaded(number) {
  const picture = pictures[number];
  picture.coming ??= blob(`picture/${number}`).then((data) => { picture.url = URL.createObjectURL(data); });
  return picture.coming;
}

const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    const number = Number(target.dataset.number);
    loaded(number).then(() => { target.querySelector("img").src = pictures[number].url; }, (error) => { target.title = error.message; });
  }
});

function strip() {
  const held = at("strip").children;
  for (let number = held.length; number < pictures.length; number++) {
    const button = element("button", { type: "button", "data-number": number }, element("img", { alt: "" }), element("span", { text: pictures[number].name }));
    button.addEventListener("click", () => change({ picture: number }));
    at("strip").append(button);
    seen.observe(button);
  }
  for (const button of held) button.setAttribute("aria-pressed", String(Number(button.dataset.number) === setting.picture));
}

async function add(files) {
  for (const given of files) {
    try {
      say(`Reading ${given.name}.`);
      const { number, name } = await upload(given.name || "pasted.png", given);
      while (pictures.length <= number) pictures.push({ name: `picture ${pictures.length}` });
      pictures[number] = { name };
      at("failed").hidden = true;
      say(`${name} is added. It is kept in memory only.`);
      change({ picture: number });
    } catch (error) {
      say("");
      fail(error);
    }
  }
}

// ---- layers

function layers() {
  const words = at("filter").value.toLowerCase();
  const rows = [{ path: "the model's output", told: "its classes, before a softmax" },
    ...about.layers.map((each) => ({ path: each.path, told: `${each.type}, ${each["output shape"]}, ${each.filters} filters`
      + (each.activation === "-" ? "" : `, ${each.activation}`) + (each.guided === "-" ? "" : `, guided: ${each.guided}`) }))];
  shown = rows.map((row, i) => [i - 1, row]).filter(([, row]) => `${row.path} ${row.told}`.toLowerCase().includes(words));
  here = Math.min(Math.max(here, 0), shown.length - 1);
  at("counted").textContent = words ? `${shown.length} of ${rows.length}` : "";
  at("layers").replaceChildren(...shown.map(([number, { path, told }], i) => {
    const depth = number < 0 ? 0 : path.split("/").length - 1;
    const row = element("li", { role: "option", id: `layer-${number}`, "aria-selected": String((setting.layer ?? -1) === number) },
      element("span", { text: path }), element("small", { text: told }));
    row.style.paddingLeft = `${0.6 + depth}rem`;
    row.addEventListener("click", () => pick(i));
    return row;
  }));
  reach();
}

function reach(scroll) {
  [...at("layers").children].forEach((row, i) => row.classList.toggle("here", i === here));
  const row = at("layers").children[here];
  if (row) at("layers").setAttribute("aria-activedescendant", row.id); else at("layers").removeAttribute("aria-activedescendant");
  if (scroll) row?.scrollIntoView({ block: "nearest" });
}

function pick(i) {
  if (shown[i] === undefined) return;
  here = i;
  const layer = shown[i][0] < 0 ? null : shown[i][0];
  change({ layer, target: layer === setting.layer ? setting.target : layer === null ? null : 0 });
  reach(true);
}

// ---- the form

function choices(select, names, chosen) {
  select.replaceChildren(...names.map((name) => element("option", { value: name, text: name || "as the method has it" })));
  select.value = chosen;
}

function option(name, value, fallback) {
  const options = { ...setting.options };
  if (value === fallback) delete options[name]; else options[name] = value;
  change({ options });
}

function form() {
  const takes = method(setting.method).options;
  at("method").value = setting.method;
  at("target").value = setting.target ?? "";
  at("target-label").textContent = setting.layer === null ? "Class" : `Filter of ${about.layers[setting.layer]?.path}`;
  for (const name of OWN) {
    const taken = takes.find((each) => each.name === name);
    const select = at(name);
    choices(select, taken?.choices ?? ["none"], taken ? setting.options[name] ?? taken.default : "none");
    select.disabled = taken === undefined;
    let why = taken ? "" : `${setting.method} takes none.`;
    if (taken && name === "backprop_modifier") {
      for (const each of select.options) {
        if (about.unreached && ["guided", "rectified", "relu", "deconv"].includes(each.value)) { each.disabled = true; why = about.unreached; }
      }
      if (["guided", "rectified", "relu", "deconv"].includes(select.value)) why = TRUST;
    }
    at(`${name}-why`).textContent = why;
  }
  const others = takes.filter((each) => !OWN.includes(each.name));
  if (at("options").dataset.method !== setting.method) {
    at("options").dataset.method = setting.method;
    at("options").replaceChildren(...others.map((each) => {
      const id = `option-${each.name}`;
      const field = element(each.choices.length ? "select" : "input", { id, "data-name": each.name });
      if (each.kind === "flag") field.type = "checkbox";
      if (each.choices.length) choices(field, each.choices, each.default);
      field.addEventListener("change", () => option(each.name, each.kind === "flag" ? String(field.checked) : field.value.trim() || each.default, each.default));
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

// ---- columns

function fixed(kept) {
  const each = { setting: kept };
  each.column = new Column(about.compiles, () => {
    each.column.stop();
    pinned = pinned.filter((other) => other !== each);
    columns();
    history.pushState(null, "", address());
    at("pin").focus();
  });
  return each;
}

function columns() {
  at("columns").replaceChildren(main.element, ...pinned.map((each) => each.column.element));
  at("pin").disabled = pinned.length >= 8;
}

async function code() {
  try {
    const { script } = await ask("script", { page: main.page, setting });
    at("text").value = script;
    at("copied").textContent = "";
    at("code").showModal();
    at("text").select();
    await navigator.clipboard.writeText(script);
    at("copied").textContent = "Copied.";
  } catch (error) {
    if (!at("code").open) fail(error); else at("copied").textContent = "Copy the text below: this browser does not let the page do it.";
  }
}

async function save() {
  say("Writing the report.");
  at("report").disabled = true;
  try {
    const url = URL.createObjectURL(await file("report", { page: main.page, setting }));
    element("a", { href: url, download: "report.html" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
    say("The report is saved.");
  } catch (error) {
    say("");
    if (!error.dropped) fail(error);
  }
  at("report").disabled = false;
}

function listen() {
  at("filter").addEventListener("input", () => { here = 0; layers(); });
  at("filter").addEventListener("keydown", (event) => { if (event.key === "ArrowDown" || event.key === "Enter") { event.preventDefault(); at("layers").focus(); } });
  at("layers").addEventListener("keydown", (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 };
    if (event.key in steps) here = Math.min(Math.max(here + steps[event.key], 0), shown.length - 1);
    else if (event.key === "Enter" || event.key === " ") pick(here);
    else return;
    event.preventDefault();
    reach(true);
  });
  at("form").addEventListener("submit", (event) => event.preventDefault());
  at("method").addEventListener("change", () => {
    const takes = method(at("method").value).options.map((each) => each.name);
    change({ method: at("method").value, options: Object.fromEntries(Object.entries(setting.options).filter(([name]) => takes.includes(name))) });
  });
  at("target").addEventListener("input", () => change({ target: whole(at("target").value) }, true));
  for (const name of OWN) {
    at(name).addEventListener("change", () => option(name, at(name).value, method(setting.method).options.find((each) => each.name === name).default));
  }
  at("opacity").addEventListener("input", () => document.documentElement.style.setProperty("--opacity", at("opacity").value));
  at("files").addEventListener("change", () => { add([...at("files").files]); at("files").value = ""; });
  at("pin").addEventListener("click", () => {
    pinned.push(fixed({ ...setting }));
    columns();
    change({});
  });
  at("script").addEventListener("click", code);
  at("report").addEventListener("click", save);
  at("address").addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(location.href); say("The address of this state is copied."); } catch { say(`The address of this state: ${location.href}`); }
  });
  addEventListener("popstate", () => { restore(location.search); form(); draw(); });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || at("code").open) return;
    main.drop();
    for (const each of pinned) each.column.drop();
  });
  addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
  addEventListener("dragleave", () => document.body.classList.remove("dropping"));
  addEventListener("drop", (event) => { event.preventDefault(); document.body.classList.remove("dropping"); add([...event.dataTransfer.files]); });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) { event.preventDefault(); add(files); }
  });
}

async function start() {
  await enter();
  const began = performance.now();
  for (;;) {
    about = await look("session");
    if (!about.loading) break;
    say(`Loading the model: ${((performance.now() - began) / 1000).toFixed(0)} s`);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  say("");
  at("model").textContent = `: ${about.name}, on ${about.backend}`;
  document.title = `${about.name}: vis explore`;
  pictures = about.pictures.map((name) => ({ name }));
  at("more").textContent = about.found > pictures.length ? `The first ${pictures.length} of ${about.found}.` : "";
  choices(at("method"), about.methods.map((each) => each.name), "saliency");
  at("report").disabled = about.report !== null;
  at("report-why").textContent = about.report ?? "";
  main = new Column(about.compiles);
  at("work").hidden = false;
  restore(location.search);
  if (!about.methods.some((each) => each.name === setting.method)) setting.method = "saliency";
  here = (setting.layer ?? -1) + 1;
  listen();
  form();
  draw();
}

start().catch(fail);
