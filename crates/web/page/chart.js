// Charts in SVG, drawn at the width they have, so that text never scales.
// Expected and bound are two different marks; what is not known is a gap with hatching, never a zero.

import { clock, day, draw, make, moment, number } from "./make.js";

let drawn = 0;

// Draws now, and again whenever the width changes.
export function fit(box, picture) {
  let width = 0;
  const observer = new ResizeObserver(() => {
    if (!box.isConnected) return observer.disconnect();
    const now = Math.floor(box.clientWidth);
    if (now === width || now < 40) return;
    width = now;
    box.replaceChildren(picture(now));
  });
  observer.observe(box);
  return box;
}

function ticks(top, about) {
  const raw = Math.max(top, 1) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(1, [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= raw));
  const values = [];
  for (let value = 0; value <= top + step * 0.001; value += step) values.push(value);
  return values;
}

function days(from, to, room) {
  const least = ((to - from) * 52) / room;
  const step = [86400, 2 * 86400, 4 * 86400, 7 * 86400, 14 * 86400, 28 * 86400, 91 * 86400].find((value) => value >= least) ?? 364 * 86400;
  const values = [];
  for (let at = Math.ceil(from / 86400) * 86400; at <= to; at += step) values.push(at);
  return values;
}

function hatching(id) {
  return draw("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    draw("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 6 }));
}

// Runs of neighbours: a step longer than the usual, or a point that says nothing, ends a run.
function runs(points, step, says) {
  const result = [];
  let last = null;
  for (const point of points) {
    if (!says(point)) { last = null; continue; }
    if (last === null || point.end - last.end > step * 1.5) result.push([]);
    result.at(-1).push(point);
    last = point;
  }
  return result;
}

const line = (points, x, y) => points.map(([at, value], index) => `${index ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");

function usualStep(points) {
  const steps = points.slice(1).map((point, index) => point.end - points[index].end).filter((step) => step > 0).sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)] ?? 3600;
}

// Accounts in trailing windows, with what was expected and the bound.
export function windowsChart(windows, options) {
  const readout = make("p", { class: "readout", "aria-live": "off" }, options.hint);
  const box = make("div", { class: "chart" });
  const picture = (width) => {
    const height = width < 480 ? 200 : 240;
    const edge = { top: 12, right: 104, bottom: 24, left: 40 };
    const [from, to] = [windows[0].end, windows.at(-1).end];
    const top = Math.max(4, ...windows.map((point) => Math.max(point.observed, point.upperbound ?? 0))) * 1.08;
    const x = (at) => edge.left + ((at - from) / Math.max(1, to - from)) * (width - edge.left - edge.right);
    const y = (value) => height - edge.bottom - (value / top) * (height - edge.top - edge.bottom);
    const step = usualStep(windows);
    const answered = (point) => point.alarm !== null;
    const id = `hatching-${(drawn += 1)}`;
    const svg = draw("svg", { width, height, role: "img", "aria-label": options.label, tabindex: 0 }, draw("defs", null, hatching(id)));
    for (const value of ticks(top, 4)) {
      svg.append(draw("line", { class: "grid", x1: edge.left, x2: width - edge.right, y1: y(value), y2: y(value) }),
        draw("text", { x: edge.left - 6, y: y(value) + 4, "text-anchor": "end" }, number(value)));
    }
    for (const at of days(from, to, width - edge.left - edge.right)) {
      svg.append(draw("text", { x: x(at), y: height - 7, "text-anchor": "middle" }, day(at)));
    }
    for (const silent of runs(windows, step, (point) => !answered(point))) {
      const [left, right] = [x(silent[0].end - step), x(silent.at(-1).end)];
      svg.append(draw("rect", { fill: `url(#${id})`, x: Math.max(left, edge.left), y: edge.top, width: Math.max(1, right - Math.max(left, edge.left)), height: height - edge.top - edge.bottom },
        draw("title", null, "no answer")));
    }
    const judged = runs(windows, step, (point) => answered(point) && point.expected !== null);
    for (const run of judged) {
      const usual = run.map((point) => [point.end, Math.max(0, point.expected)]);
      const floor = [[run.at(-1).end, 0], [run[0].end, 0]];
      svg.append(draw("path", { class: "usual", d: `${line([...usual, ...floor], x, y)}Z` }), draw("path", { class: "expected", d: line(usual, x, y) }));
    }
    for (const run of runs(windows, step, (point) => answered(point) && point.upperbound !== null)) {
      svg.append(draw("path", { class: "bound", d: line(run.map((point) => [point.end, point.upperbound]), x, y) }));
    }
    for (const run of runs(windows, step, () => true)) {
      svg.append(draw("path", { class: "observed", d: line(run.map((point) => [point.end, point.observed]), x, y) }));
    }
    for (const run of runs(windows, step, (point) => point.alarm === true)) {
      svg.append(draw("path", { class: "above", d: line(run.map((point) => [point.end, point.observed]), x, y) }));
      const peak = run.reduce((most, point) => (point.observed > most.observed ? point : most));
      svg.append(draw("circle", { class: "peak", cx: x(peak.end), cy: y(peak.observed), r: 3.5 }));
    }
    label(svg, windows.at(-1), width - edge.right + 6, y, edge.top);
    const cursor = draw("line", { class: "cursor", y1: edge.top, y2: height - edge.bottom, visibility: "hidden" });
    svg.append(cursor);
    let chosen = windows.length - 1;
    const show = (index) => {
      chosen = Math.min(windows.length - 1, Math.max(0, index));
      const point = windows[chosen];
      cursor.setAttribute("x1", x(point.end));
      cursor.setAttribute("x2", x(point.end));
      cursor.setAttribute("visibility", "visible");
      readout.replaceChildren(said(point));
    };
    const hide = () => {
      cursor.setAttribute("visibility", "hidden");
      readout.replaceChildren(options.hint);
    };
    svg.addEventListener("pointermove", (event) => {
      const at = from + ((event.clientX - svg.getBoundingClientRect().left - edge.left) / (width - edge.left - edge.right)) * (to - from);
      let nearest = 0;
      windows.forEach((point, index) => { if (Math.abs(point.end - at) < Math.abs(windows[nearest].end - at)) nearest = index; });
      show(nearest);
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -24, PageDown: 24 }[event.key];
      if (move === undefined) return;
      event.preventDefault();
      show(chosen + move);
    });
    return svg;
  };
  return make("div", null, fit(box, picture), readout);
}

function said(point) {
  const judged = point.alarm === null ? `no answer (${point.reason || "no reason given"})` : `${number(point.expected)} expected, bound ${number(point.upperbound)}`;
  return `To ${moment(point.end)}: ${number(point.observed)} accounts, ${judged}.`;
}

// Names stand at the end of the lines they name, pushed apart where they would touch.
function label(svg, last, x, y, top) {
  const names = [["observed", last.observed, "name-observed"]];
  if (last.alarm !== null && last.upperbound !== null) names.push(["bound", last.upperbound, "name-bound"]);
  if (last.alarm !== null && last.expected !== null) names.push(["expected", last.expected, "name-expected"]);
  names.sort((one, other) => other[1] - one[1]);
  let least = top;
  for (const [name, value, style] of names) {
    const at = Math.max(y(value) + 4, least);
    svg.append(draw("text", { class: style, x, y: at }, `${name} ${number(value)}`));
    least = at + 14;
  }
}

// Posts pane by pane; what may still change is hollow.
export function panesChart(panes, options) {
  const box = make("div", { class: "chart" });
  const picture = (width) => {
    const height = 120;
    const edge = { top: 10, right: 12, bottom: 24, left: 40 };
    const { from, to, seconds } = options;
    const top = Math.max(4, ...panes.map((pane) => pane.posts)) * 1.08;
    const x = (at) => edge.left + ((at - from) / Math.max(1, to - from)) * (width - edge.left - edge.right);
    const y = (value) => height - edge.bottom - (value / top) * (height - edge.top - edge.bottom);
    const svg = draw("svg", { width, height, role: "img", "aria-label": options.label });
    if (options.window) {
      const left = Math.max(x(options.window[0]), edge.left);
      svg.append(draw("rect", { class: "judged", x: left, y: edge.top, width: Math.max(1, Math.min(x(options.window[1]), width - edge.right) - left), height: height - edge.top - edge.bottom }));
    }
    for (const value of ticks(top, 3)) {
      svg.append(draw("line", { class: "grid", x1: edge.left, x2: width - edge.right, y1: y(value), y2: y(value) }),
        draw("text", { x: edge.left - 6, y: y(value) + 4, "text-anchor": "end" }, number(value)));
    }
    const marks = to - from <= 4 * 86400 ? 6 * 3600 : 86400;
    const room = (width - edge.left - edge.right) / ((to - from) / marks);
    const each = marks * Math.max(1, Math.ceil(46 / room));
    for (let at = Math.ceil(from / each) * each; at <= to; at += each) {
      const anchor = x(at) > width - edge.right - 18 ? "end" : "middle";
      svg.append(draw("text", { x: anchor === "end" ? width - 2 : x(at), y: height - 7, "text-anchor": anchor }, at % 86400 === 0 ? day(at) : clock(at)));
    }
    const wide = Math.max(1, ((width - edge.left - edge.right) * seconds) / (to - from) - 1);
    for (const pane of panes) {
      const box = { x: x(pane.start) + 0.5, y: y(pane.posts), width: wide, height: Math.max(0.5, y(0) - y(pane.posts)) };
      svg.append(draw("rect", { class: pane.final ? "bar" : "bar open", ...box },
        draw("title", null, `${moment(pane.start)}: ${number(pane.posts)} posts by ${number(pane.authors)} accounts${pane.final ? "" : ", may still change"}`)));
    }
    return svg;
  };
  return fit(box, picture);
}

// The smallest trend: bound and expected are still two marks.
export function trend(points) {
  const [width, height] = [132, 34];
  const top = Math.max(1, ...points.map((point) => Math.max(point.observed, point.upperbound ?? 0))) * 1.1;
  const [from, to] = [points[0].end, points.at(-1).end];
  const x = (at) => 3 + ((at - from) / Math.max(1, to - from)) * (width - 8);
  const y = (value) => height - 2 - (value / top) * (height - 5);
  const path = (style, value) => {
    const known = points.filter((point) => value(point) !== null);
    return known.length > 1 && draw("path", { class: style, d: line(known.map((point) => [point.end, value(point)]), x, y) });
  };
  const last = points.at(-1);
  return draw("svg", { class: "trend", width, height, "aria-hidden": true },
    path("expected", (point) => point.expected), path("bound", (point) => point.upperbound), path("observed", (point) => point.observed),
    draw("circle", { class: last.upperbound !== null && last.observed > last.upperbound ? "peak" : "dot", cx: x(last.end), cy: y(last.observed), r: 2.5 }));
}

// The same numbers as a table, for whoever can't see a picture.
export function table(windows) {
  const rows = windows.slice(-72).reverse().map((point) => make("tr", null,
    make("th", { scope: "row" }, moment(point.end)), make("td", null, number(point.observed)),
    make("td", null, point.alarm === null ? "–" : number(point.expected)), make("td", null, point.alarm === null ? "–" : number(point.upperbound)),
    make("td", null, point.alarm === null ? point.reason || "no answer" : point.alarm ? "above" : "usual")));
  return make("details", null, make("summary", null, "The last 72 windows as a table"),
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Windows as a table" },
      make("table", null,
        make("thead", null, make("tr", null, ["Window to (UTC)", "Accounts", "Expected", "Bound", ""].map((head) => make("th", { scope: "col" }, head)))),
        make("tbody", null, rows))));
}
