// Parts that pages share: panels with their downloads, chips, what is said when there is nothing.

import { html, useRef, useState } from "/vendor/preact-htm.js";
import { t } from "/words.js";

const GLYPHS = {
  new: html`<circle cx="7" cy="7" r="6" fill="currentColor"/><path d="M7 3.6v4.2M7 10.2v.2" class="cut" stroke-width="1.6" stroke-linecap="round"/>`,
  triaged: html`<circle cx="7" cy="7" r="5.4" fill="none" stroke="currentColor" stroke-width="1.3"/><path d="M7 7V3.4A3.6 3.6 0 0 1 10.6 7Z" fill="currentColor"/>`,
  verifying: html`<circle cx="7" cy="7" r="5.4" fill="none" stroke="currentColor" stroke-width="1.3"/><path d="M7 3.4a3.6 3.6 0 0 1 0 7.2Z" fill="currentColor"/>`,
  decided: html`<circle cx="7" cy="7" r="6" fill="currentColor"/><path d="m4.3 7.2 1.9 1.9 3.6-4" class="cut" stroke-width="1.5"/>`,
  closed: html`<circle cx="7" cy="7" r="5.4" fill="none" stroke="currentColor" stroke-width="1.3"/><path d="m4.6 7.2 1.7 1.7 3.2-3.6" fill="none" stroke="currentColor" stroke-width="1.3"/>`,
  withdrawn: html`<circle cx="7" cy="7" r="5.4" fill="none" stroke="currentColor" stroke-width="1.3"/><path d="M4.5 7h5" stroke="currentColor" stroke-width="1.4"/>`,
  snoozed: html`<circle cx="7" cy="7" r="5.4" fill="none" stroke="currentColor" stroke-width="1.3"/><path d="M7 4v3.2l2.2 1.3" fill="none" stroke="currentColor" stroke-width="1.3"/>`,
};

export const Chip = ({ state, children }) => html`<span class=${`chip ${state}`}><svg width="14" height="14" aria-hidden="true">${GLYPHS[state] ?? GLYPHS.closed}</svg>${children ?? t(`state-${state}`)}</span>`;

export const Nothing = ({ title, children }) => html`<div class="nothing"><p><b>${title}</b></p>${children ? html`<p>${children}</p>` : null}</div>`;

export function Failed({ error }) {
  if (!error) return null;
  return html`<div class="nothing" role="alert"><p><b>${t(error.status ? "refused" : "lost")}</b></p><p>${error.status ? error.message : t("lost-why")}</p></div>`;
}

/** What stands where something will: of its size, so that nothing moves. */
export const Waiting = ({ height = 120 }) => html`<svg class="skeleton" height=${height} role="img" aria-label=${t("waiting")}><rect width="100%" height="100%" rx="4"/></svg>`;

/** A panel; `rows` gives its numbers as a table, a header first; its picture is its largest SVG. */
export function Panel({ id, title, note, rows, picture = true, children, level = 2, wide }) {
  const box = useRef(null);
  const [failed, fail] = useState(false);
  const name = `pumphandle-${id}`;
  const save = async (make, ending) => {
    try {
      download(`${name}.${ending}`, await make());
      fail(false);
    } catch {
      fail(true);
    }
  };
  const drawing = () => [...box.current.querySelectorAll("svg")].sort((one, other) => other.clientWidth * other.clientHeight - one.clientWidth * one.clientHeight)[0];
  const get = rows ? html`<span class="get">
    <button class="btn bare" type="button" aria-label=${t("as-csv", { title })} onClick=${() => save(() => csv(rows()), "csv")}>CSV</button>
    ${picture ? html`<button class="btn bare" type="button" aria-label=${t("as-png", { title })} onClick=${() => save(() => png(drawing()), "png")}>PNG</button>
    <button class="btn bare" type="button" aria-label=${t("as-svg", { title })} onClick=${() => save(() => new Blob([text(drawing())], { type: "image/svg+xml" }), "svg")}>SVG</button>` : null}
  </span>` : null;
  return html`<section class=${wide ? "panel wide" : "panel"} aria-labelledby=${`h-${id}`} ref=${box}><header><h2 id=${`h-${id}`}>${title}</h2>${note ? html`<p>${note}</p>` : null}${get}</header>${failed ? html`<p role="alert" class="note">${t("not-saved")}</p>` : null}${children}</section>`;
}

// ---------- downloads ----------

function download(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Text that strangers typed is kept from being run as a formula. */
export function field(value) {
  if (typeof value === "number") return String(value);
  let shown = value === null || value === undefined ? "" : String(value);
  if (/^[=+\-@\t\r]/.test(shown)) shown = `'${shown}`;
  return /[",\r\n]/.test(shown) ? `"${shown.replaceAll('"', '""')}"` : shown;
}

const csv = (rows) => new Blob([`\ufeff${rows.map((row) => row.map(field).join(",")).join("\r\n")}\r\n`], { type: "text/csv" });

const KEPT = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "font-size", "font-family", "font-weight", "opacity", "display", "paint-order"];

/** A drawing that stands alone: its styles as attributes, its patterns inside. */
function text(drawing) {
  const copy = drawing.cloneNode(true);
  const [from, to] = [drawing, copy].map((root) => [root, ...root.querySelectorAll("*")]);
  from.forEach((node, at) => {
    const style = getComputedStyle(node);
    for (const name of KEPT) {
      const value = style.getPropertyValue(name);
      if (value) to[at].setAttribute(name, value.replace(/url\("[^"]*#/, 'url("#').replaceAll('"', ""));
    }
    to[at].removeAttribute("class");
    to[at].removeAttribute("tabindex");
  });
  const patterns = document.querySelector("svg.nowhere defs");
  if (patterns) {
    const defs = patterns.cloneNode(true);
    [...patterns.querySelectorAll("*")].forEach((node, at) => {
      const style = getComputedStyle(node);
      const twin = defs.querySelectorAll("*")[at];
      for (const name of ["fill", "stroke", "stroke-width"]) twin.setAttribute(name, style.getPropertyValue(name));
      twin.removeAttribute("class");
    });
    copy.prepend(defs);
  }
  const page = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  page.setAttribute("width", "100%");
  page.setAttribute("height", "100%");
  page.setAttribute("fill", getComputedStyle(document.querySelector(".panel") ?? document.body).backgroundColor);
  copy.prepend(page);
  const size = drawing.getBoundingClientRect();
  copy.setAttribute("width", Math.round(size.width));
  copy.setAttribute("height", Math.round(size.height));
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return new XMLSerializer().serializeToString(copy);
}

async function png(drawing) {
  const size = drawing.getBoundingClientRect();
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([text(drawing)], { type: "image/svg+xml" }));
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = size.width * 2;
  canvas.height = size.height * 2;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  return new Promise((done, fail) => canvas.toBlob((blob) => (blob ? done(blob) : fail()), "image/png"));
}

export function say(words) {
  document.getElementById("live").textContent = words;
}
