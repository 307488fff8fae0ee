// Maps: shapes from this server, fills by what is known. Too few and no answer are patterns, never colours; alarms are outlines.

import { html, useEffect, useMemo, useState } from "/vendor/preact-htm.js";
import { Adder } from "/vendor/fsum.js";
import merge from "/vendor/merge.js";
import range from "/vendor/range.js";
import { ask } from "/ask.js";
import { number, place, t, times } from "/words.js";

const shapes = new globalThis.Map();
let tools = null;

/** d3-geo asks for three functions of d3-array by a global name. */
async function geo() {
  tools ??= (async () => {
    globalThis.d3 = { Adder, merge, range };
    await import("/vendor/d3-geo.min.js");
    await import("/vendor/topojson-client.min.js");
    return { d3: globalThis.d3, topojson: globalThis.topojson };
  })();
  return tools;
}

async function load(name) {
  if (!shapes.has(name)) shapes.set(name, Promise.all([geo(), ask(`/map/${name}.json`)]).then(([{ d3, topojson }, file]) => ({ d3, features: topojson.feature(file, file.objects.regions).features })));
  return shapes.get(name);
}

const CLASSES = ["c0", "c1", "c2", "c3", "c4", "cx", "co", "cn"];

/** The class of a window: below usual, usual, up by steps, too few to tell, no answer. */
export function classOf(cell) {
  if (!cell || !cell.answer) return "cn";
  if (cell.answer === "outage") return "co";
  if (cell.answer === "none") return "cx";
  if (cell.plain) return cell.plain;
  if (cell.shade !== undefined) return `q${cell.shade}`;
  if (cell.answer === "calm" && isFew(cell)) return "cx";
  const ratio = cell.observed / Math.max(cell.expected, 0.1);
  return ratio < 0.75 ? "c0" : ratio < 1.25 ? "c1" : ratio < 1.75 ? "c2" : ratio < 2.5 ? "c3" : "c4";
}

/** Fewer than one and a half expected: nothing can be seen there. */
const isFew = (cell) => cell.expected < 1.5;

export function words(cell) {
  const kind = classOf(cell);
  if (["cx", "co", "cn"].includes(kind)) return t(`class-${kind}`);
  return `${t("cell", { n: number(cell.observed), expected: number(cell.expected) })}, ${times(cell.observed / Math.max(cell.expected, 0.1))}${cell.answer === "alarm" ? `, ${t("above-bound")}` : ""}`;
}

const EUROPE = ["AL", "AT", "BA", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HR", "HU", "IE", "IS", "IT", "LT", "LU", "LV", "MD", "ME", "MK", "MT", "NL", "NO", "PL", "PT", "RO", "RS", "SE", "SI", "SK", "UA", "XK"];

/** `cells` by code; `view` is `001`, `europe` or a country. */
export function Map({ view, cells, label, on, mark, named = null, height = 400, width = 640 }) {
  const [found, set] = useState(null);
  const name = view === "001" || view === "europe" ? "world" : view;
  useEffect(() => {
    let gone = false;
    load(name).then((loaded) => !gone && set({ name, ...loaded }), () => !gone && set({ name, features: [] }));
    return () => { gone = true; };
  }, [name]);
  const ready = found?.name === name && found.features.length > 0 ? found : null;
  const drawn = useMemo(() => {
    if (!ready) return null;
    const { d3, features } = ready;
    const inner = [[4, 4], [width - 4, height - 4]];
    const frame = { type: "MultiPoint", coordinates: [[-11, 35.5], [33, 35], [33, 69], [-20, 65.5], [25, 71], [-9, 44]] };
    let projection;
    if (view === "001") projection = d3.geoEqualEarth().fitExtent(inner, { type: "Sphere" });
    else if (view === "europe") projection = d3.geoAzimuthalEqualArea().rotate([-12, -52]).fitExtent(inner, frame).clipExtent([[0, 0], [width, height]]);
    else {
      // Far islands would make a country small: the box of its larger parts decides.
      const areas = features.map((feature) => [feature, d3.geoArea(feature)]);
      const centre = d3.geoCentroid({ type: "FeatureCollection", features: areas.filter(([, area]) => area > 0).map(([feature]) => feature) });
      const near = features.filter((feature) => d3.geoDistance(d3.geoCentroid(feature), centre) < 0.5);
      const all = { type: "FeatureCollection", features: near.length ? near : features };
      projection = d3.geoConicEqualArea().rotate([-centre[0], 0]).parallels([centre[1] - 8, centre[1] + 8]).fitExtent(inner, all);
    }
    const path = d3.geoPath(projection).digits(1);
    return features.map((feature) => ({ code: feature.id, d: path(feature), centre: path.centroid(feature), box: path.bounds(feature) })).filter((shape) => shape.d);
  }, [ready, view, width, height]);
  const walk = (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const all = [...event.currentTarget.querySelectorAll("path[data-code]")];
    const at = all.indexOf(event.target);
    const next = all[(at + by + all.length) % all.length];
    event.target.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  };
  if (found?.name === name && !ready) return html`<p class="note">${t("no-shapes")}</p>`;
  if (!drawn) return html`<svg class="map" viewBox=${`0 0 ${width} ${height}`} role="img" aria-label=${t("waiting")}/>`;
  const shown = drawn.filter((shape) => cells[shape.code]).sort((one, other) => place(one.code).localeCompare(place(other.code)));
  const back = drawn.filter((shape) => !cells[shape.code]);
  const label_ = named && drawn.find((shape) => shape.code === named.code);
  // A name never covers what it names: beside a shape that is narrower it stands above it.
  const half = label_ ? named.text.length * 3.4 : 0;
  const isSmall = label_ && label_.box[1][0] - label_.box[0][0] < 2 * half;
  return html`<svg class="map" viewBox=${`0 0 ${width} ${height}`} role="group" aria-label=${label} onKeyDown=${walk}>
    ${back.length ? html`<path class="land" d=${back.map((shape) => shape.d).join("")}/>` : null}
    ${shown.map((shape, index) => html`<path key=${shape.code} data-code=${shape.code} tabindex=${index ? -1 : 0} role="img" aria-label=${`${place(shape.code)}: ${words(cells[shape.code])}`} class=${`${classOf(cells[shape.code])}${on === shape.code ? " on" : ""}`} d=${shape.d}
      onFocus=${() => mark?.(shape.code)} onBlur=${() => mark?.(null)} onPointerEnter=${() => mark?.(shape.code)} onPointerLeave=${() => mark?.(null)}><title>${place(shape.code)}: ${words(cells[shape.code])}</title></path>`)}
    <g class="rims" aria-hidden="true">${shown.filter((shape) => cells[shape.code].answer === "alarm").map((shape) => html`<path d=${shape.d}/>`)}${on && shown.find((shape) => shape.code === on) ? html`<path class="on" d=${shown.find((shape) => shape.code === on).d}/>` : null}</g>
    ${label_ ? html`<text x=${Math.max(half, Math.min(width - half, label_.centre[0]))} y=${isSmall ? Math.max(12, label_.box[0][1] - 6) : label_.centre[1]} text-anchor="middle" class="named">${named.text}</text>` : null}
  </svg>`;
}

export const isEurope = (code) => EUROPE.includes(code);

export function Legend({ cells, top = null }) {
  const count = (kind) => Object.values(cells).filter((cell) => classOf(cell) === kind).length;
  const steps = [0, 1, 2, 3, 4].map((step) => [`q${step}`, `${number((top * step) / 5)}–${number((top * (step + 1)) / 5)}`]);
  const kinds = top === null ? CLASSES.map((kind) => [kind, t(`class-${kind}`)]) : [...steps, ...["cx", "co", "cn"].map((kind) => [kind, t(`class-${kind}`)])];
  return html`<ul class="legend" aria-label=${t("legend")}>${kinds.map(([kind, words]) => html`<li><svg width="14" height="12" aria-hidden="true"><rect class=${kind} width="14" height="12"/></svg>${words} <span class="quiet">${number(count(kind))}</span></li>`)}<li><svg width="14" height="12" aria-hidden="true"><rect class="edge" width="14" height="12"/></svg>${t("above-bound")}</li></ul>`;
}
