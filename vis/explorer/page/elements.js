// Elements and numbers.

/** Make an element with a text, attributes and children. */
export function element(tag, { text, ...given } = {}, ...children) {
  const found = document.createElement(tag);
  if (text !== undefined) found.textContent = text;
  for (const [name, value] of Object.entries(given)) found.setAttribute(name, value);
  found.append(...children);
  return found;
}

/** Write a number with three digits. */
export function short(value) {
  if (value === null) return "not a number";
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(2) : Number(value.toPrecision(3)).toString();
}

/** Return the address of a picture in Base64. */
export const png = (data) => `data:image/png;base64,${data}`;

/** Make a button with a bar as long as its share. */
export function bar(name, value, share) {
  const drawn = element("span", { class: "bar", "aria-hidden": "true" });
  drawn.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  return element("button", { type: "button", class: "row" }, element("span", { text: name }), element("span", {}, drawn), element("span", { class: "number", text: short(value) }));
}
