// The state of the page, which its address holds.

/** What can stand beside a map, and its heading. */
export const BESIDE = { sanity: "Sanity curve", measures: "Measures", maximize: "What it responds to" };

export function whole(text) {
  return /^-?\d+$/.test(text ?? "") ? Number(text) : null;
}

/** Return a setting, and what stands beside its map, as pairs of an address; the sample is shared by all. */
export function written({ setting, more }) {
  const { method, layer, target, options } = setting;
  const pairs = [["method", method], ["layer", layer], ["target", target], ...Object.entries(options).map(([name, value]) => [`o.${name}`, value])];
  return [...pairs.filter(([, value]) => value !== null && value !== undefined).map(([name, value]) => [name, String(value)]), ...more.map((kind) => ["show", kind])];
}

export function read(search) {
  const given = new URLSearchParams(search);
  const setting = { picture: whole(given.get("picture")) ?? 0, method: given.get("method") ?? "saliency", layer: whole(given.get("layer")), target: whole(given.get("target")), options: {} };
  for (const [name, value] of given) if (name.startsWith("o.")) setting.options[name.slice(2)] = value;
  return { setting, more: Object.keys(BESIDE).filter((kind) => given.getAll("show").includes(kind)) };
}

/** Return the address of a state: of the first column, and of those that are pinned. */
export function address(first, pinned) {
  const parts = new URLSearchParams([["picture", first.setting.picture], ...written(first)]);
  for (const each of pinned) parts.append("pin", new URLSearchParams(written(each)).toString());
  return `?${parts}`;
}
