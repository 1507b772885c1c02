// The page: what is shown, and how it changes.

import { ask, compute, end, enter, look } from "./api.js";
import { Column } from "./column.js";
import { bar, element } from "./elements.js";
import { Form } from "./form.js";
import { Layers } from "./layers.js";
import { address, read } from "./state.js";
import { Strip } from "./strip.js";

const at = (name) => document.getElementById(name);
// Columns beside the first.
const MOST_PINNED = 8;
let about, main, strip, layers, form;
let first = read("");  // { setting, more } of the first column
let pinned = [];  // { setting, more, column }
let predicted;

const say = (text) => { at("said").textContent = text; };
const fail = (error) => { at("failed").textContent = error?.message ?? error ?? ""; at("failed").hidden = error === null; };

function restore(search) {
  first = read(search);
  if (!about.methods.some((each) => each.name === first.setting.method)) first.setting.method = "saliency";
  if (first.setting.layer === null) first.setting.layer = about.outputs[0];
  for (const each of pinned) each.column.drop();
  pinned = new URLSearchParams(search).getAll("pin").slice(0, MOST_PINNED).map((text) => fixed(read(text)));
  columns();
}

function remember(keep) {
  const now = address(first, pinned);
  if (now !== location.search) history[keep ? "replaceState" : "pushState"](null, "", now + end);
}

function change(part, keep) {
  first = { ...first, setting: { ...first.setting, ...part } };
  remember(keep);
  draw();
}

function toggle(kind, on) {
  first = { ...first, more: on ? [...first.more, kind] : first.more.filter((each) => each !== kind) };
  remember();
  draw();
}

/** Return the name of a class of an output, if it has one. */
const label = (layer, target) => (about.labelled.includes(layer) ? about.labels[target] : undefined);

const named = ({ layer, target, method, options }) => {
  const output = about.outputs.includes(layer);
  const where = layer === null ? "the output" : about.layers[layer]?.path ?? `layer ${layer}`;
  const what = output ? "class" : "filter";
  const name = label(layer, target) ? ` (${label(layer, target)})` : "";
  const more = Object.entries(options).map(([name, value]) => `, ${name} ${value}`).join("");
  return `${method} of ${where}, ${target === null ? `predicted ${what}` : `${what} ${target}`}${name}${more}`;
};

async function draw() {
  const { setting } = first;
  const number = setting.picture;
  form.draw(first);
  strip.draw(number);
  layers.draw(setting.layer);
  if (strip.samples[number] === undefined) {
    say(strip.samples.length ? `There is no sample ${number}.` : "Add a picture or another input to see maps of it.");
    return;
  }
  let sample;
  try { sample = await strip.sample(number); } catch (error) { main.wrong.textContent = error.message; return; }
  if (number !== first.setting.picture) return;
  predict(number);
  write(number);
  main.draw(first.setting, first.more, named(first.setting), sample);
  for (const each of pinned) {
    // Columns share the sample, and the target where the layer is the same.
    const target = each.setting.layer === setting.layer ? setting.target : each.setting.target;
    const now = { ...each.setting, picture: number, target };
    each.column.draw(now, each.more, named(now), sample);
  }
}

// ---- predictions

async function predict(number) {
  if (predicted === number) { targets(); return; }
  try {
    const found = await compute("predict", { page: main.page, setting: { picture: number } });
    if (number === first.setting.picture) { predicted = number; predictions(found); }
  } catch (error) {
    if (error.name !== "AbortError") at("predictions").replaceChildren(element("p", { role: "alert", text: error.message }));
  }
}

function predictions(outputs) {
  at("predictions").replaceChildren(...outputs.flatMap(({ name, layer, best }) => {
    const largest = Math.max(...best.map((each) => Math.abs(each.value ?? 0)), 1e-30);
    const rows = best.map(({ target, value }) => {
      const button = bar(label(layer, target) ?? `class ${target}`, value, Math.abs(value ?? 0) / largest);
      Object.assign(button.dataset, { target, layer: layer ?? "" });
      button.addEventListener("click", () => change({ target, layer }));
      return button;
    });
    return outputs.length > 1 ? [element("h3", { text: name }), ...rows] : rows;
  }));
  targets();
}

function targets() {
  const { layer, target } = first.setting;
  for (const button of at("predictions").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.layer === String(layer ?? "") && target === Number(button.dataset.target)));
  }
}

// ---- inputs that are written, and pictures of models with several inputs

function slots() {
  const several = about.slots.length > 1;
  about.slots.forEach((slot, i) => {
    const id = `slot-${i}`;
    const name = `${slot.name} (${slot.kind}, ${slot.shape})`;
    let field;
    if (slot.typed) {
      field = element("textarea", { id, rows: 2, spellcheck: "false" });
      field.addEventListener("change", () => strip.write(first.setting.picture, i, field.value));
    } else if (several && slot.kind === "picture" && about.takes_pictures) {
      field = element("input", { id, type: "file", accept: "image/*" });
      field.addEventListener("change", () => { strip.add([...field.files], first.setting.picture, i); field.value = ""; });
    } else return;
    at("slots").append(element("p", {}, element("label", { for: id, text: name }), field));
  });
  at("slots").hidden = at("slots").children.length === 0;
  at("opacity").parentElement.hidden = !about.slots.some((slot) => slot.kind === "picture");
  at("files-label").textContent = several || !about.takes_pictures ? "Add inputs, an array for each in a .npz file, or .npy for one: choose it, or drop it on this page"
    : "Add pictures: choose files, or drop or paste them on this page";
}

async function write(number) {
  if (at("slots").hidden) return;
  try {
    const { texts } = await strip.told(number);
    if (number !== first.setting.picture) return;
    texts.forEach((text, i) => { if (text !== null) at(`slot-${i}`).value = text; });
  } catch (error) {
    fail(error);
  }
}

// ---- columns

function fixed(kept) {
  const each = kept;
  each.column = new Column(about.compiles, () => {
    each.column.drop();
    pinned = pinned.filter((other) => other !== each);
    columns();
    remember();
    at("pin").focus();
  });
  return each;
}

function columns() {
  at("columns").replaceChildren(main.element, ...pinned.map((each) => each.column.element));
  at("pin").disabled = pinned.length >= MOST_PINNED;
}

// ---- what is taken home

async function code() {
  try {
    const script = await compute("script", { page: main.page, setting: first.setting, more: first.more });
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
  at("report").disabled = true;
  try {
    const told = ({ done, total, what }) => say(`Writing the report: ${done} of ${total ?? "?"} ${what}.`);
    say("Writing the report.");
    const html = await compute("report", { page: main.page, setting: first.setting }, { told });
    const url = URL.createObjectURL(new Blob([html], { type: "text/html" }));
    element("a", { href: url, download: "report.html" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
    say("The report is saved.");
  } catch (error) {
    say("");
    if (error.name !== "AbortError") fail(error);
  }
  at("report").disabled = false;
}

function listen() {
  at("opacity").addEventListener("input", () => document.documentElement.style.setProperty("--opacity", at("opacity").value));
  at("files").addEventListener("change", () => { strip.add([...at("files").files], first.setting.picture); at("files").value = ""; });
  at("pin").addEventListener("click", () => {
    pinned.push(fixed({ setting: { ...first.setting }, more: [...first.more] }));
    columns();
    change({});
  });
  at("script").addEventListener("click", code);
  at("report").addEventListener("click", save);
  at("address").addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(location.href); say("The address of this state is copied."); } catch { say(`The address of this state: ${location.href}`); }
  });
  addEventListener("popstate", () => { restore(location.search); draw(); });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || at("code").open) return;
    main.drop();
    for (const each of pinned) each.column.drop();
  });
  addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
  addEventListener("dragleave", () => document.body.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    strip.add([...event.dataTransfer.files], first.setting.picture);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    strip.add(files, first.setting.picture);
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
  main = new Column(about.compiles);
  strip = new Strip(at("strip"), about, (picture) => change({ picture }), fail, say);
  layers = new Layers(at("layers"), at("filter"), at("counted"), about, (layer) =>
    change({ layer, target: layer === first.setting.layer ? first.setting.target : about.outputs.includes(layer) ? null : 0 }));
  form = new Form(about, main.page, change, toggle);
  at("more").textContent = about.found > strip.samples.length ? `The first ${strip.samples.length} of ${about.found}.` : "";
  at("report").disabled = about.unfit.report !== null;
  at("report-why").textContent = about.unfit.report ?? "";
  slots();
  at("work").hidden = false;
  restore(location.search);
  listen();
  draw();
}

start().catch(fail);
