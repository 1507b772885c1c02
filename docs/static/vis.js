// What is wider than the window is scrolled by keyboard, too.
function reachable() {
  for (const region of document.querySelectorAll("pre, .table-wrapper")) {
    if (region.scrollWidth > region.clientWidth) {
      region.tabIndex = 0;
      region.setAttribute("role", "region");
      region.setAttribute("aria-label", region.tagName === "PRE" ? "code" : "table");
    } else {
      region.removeAttribute("tabindex");
      region.removeAttribute("role");
      region.removeAttribute("aria-label");
    }
  }
}
reachable();
addEventListener("resize", reachable);
// A signature over several lines is a list, which has no terms.
for (const list of document.querySelectorAll("dt.sig dl")) {
  list.setAttribute("role", "list");
  for (const item of list.children) item.setAttribute("role", "listitem");
}
// The captions of the navigation are headings, whose level the theme leaves out.
for (const caption of document.querySelectorAll("p.caption[role=heading]")) caption.setAttribute("aria-level", "2");
// The links over the pictures of the gallery have their text hidden.
for (const link of document.querySelectorAll(".sphx-glr-thumbcontainer a")) link.setAttribute("aria-label", link.textContent);
