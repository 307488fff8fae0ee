// Charts as SVG in pixels of their box, so that text never scales. Range and bound are always two different marks; what isn't known is a gap or a hatch.

import { html, useLayoutEffect, useRef, useState } from "/vendor/preact-htm.js";
import { clock, day, moment, number, percent, t, weekday } from "/words.js";

/** The width of a box, as it changes. */
function useWidth(usual) {
  const box = useRef(null);
  const [width, set] = useState(usual);
  useLayoutEffect(() => {
    const measure = () => box.current && set(Math.max(120, Math.round(box.current.clientWidth)));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  return [box, width];
}

function steps(top) {
  const rough = top / 4;
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 0.25)));
  const step = Math.max(1, [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough));
  return Array.from({ length: Math.floor(top / step + 1.001) }, (_, at) => at * step);
}

/** Lines through what is known, broken where it isn't. */
function path(points, x, y, stepped) {
  let text = "";
  let down = false;
  for (const point of points) {
    const value = y(point);
    if (value === null) {
      down = false;
      continue;
    }
    text += down && stepped ? `H${x(point).toFixed(1)}V${value.toFixed(1)}` : `${down ? "L" : "M"}${x(point).toFixed(1)} ${value.toFixed(1)}`;
    down = true;
  }
  return text;
}

function area(points, x, low, high) {
  let text = "";
  let run = [];
  const close = () => {
    if (run.length > 1) text += run.map((point, at) => `${at ? "L" : "M"}${x(point).toFixed(1)} ${high(point).toFixed(1)}`).join("") + run.reverse().map((point) => `L${x(point).toFixed(1)} ${low(point).toFixed(1)}`).join("") + "Z";
    run = [];
  };
  for (const point of points) low(point) === null || high(point) === null ? close() : run.push(point);
  close();
  return text;
}

const known = (value) => value !== null && value !== undefined;
const usual = (point) => (known(point.low) && known(point.high) ? [point.low, point.high] : [null, null]);
/** Windows that are not known, side by side as one; `gap` says why, where one of them does. */
function unknown(points, step) {
  const runs = [];
  for (const point of points) {
    if (known(point.observed)) continue;
    const run = runs.at(-1);
    if (run && point.end - run.last <= step * 1.01) Object.assign(run, { last: point.end, gap: run.gap ?? point.gap });
    else runs.push({ end: point.end, last: point.end, gap: point.gap });
  }
  return runs;
}

const isOver = (point) => known(point.bound) && point.observed > point.bound;

export function Hatches() {
  return html`<svg width="0" height="0" aria-hidden="true" focusable="false" class="nowhere"><defs>
    <pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="blank" width="5" height="5"/><line class="hatchline" y2="5"/></pattern>
    <pattern id="dots" width="5" height="5" patternUnits="userSpaceOnUse"><rect class="blank" width="5" height="5"/><circle cx="1.5" cy="1.5" r="1" class="dotmark"/></pattern>
  </defs></svg>`;
}

/** The days of a topic's campaigns that lie in a span, with their names; those of months are no mark. */
export function campaigns(topics, id, from, to) {
  const found = [];
  const years = [new Date(from * 1000).getUTCFullYear(), new Date(to * 1000).getUTCFullYear()];
  for (const topic of (topics ?? []).filter((one) => one.topic === id)) {
    for (const written of topic.days ?? []) {
      const [first, last] = [written.split("/")[0], written.split("/").at(-1)];
      for (const year of new Set(years)) {
        const begins = Date.parse(`${year}-${first}T00:00:00Z`) / 1000;
        const ends = Date.parse(`${year}-${last}T00:00:00Z`) / 1000 + 86400;
        if (ends > from && begins < to && ends - begins <= 15 * 86400) found.push({ from: begins, to: ends, name: topic.name });
      }
    }
  }
  return found.sort((one, other) => one.from - other.from);
}

/**
 * Observed against range and bound over time. Points: {end, observed (null: no answer), expected, low, high, bound, gap: "outage" | …,
 * earlier: what was observed a year before}.
 * `baseline` {from, to, text, without: ends that it leaves out} is drawn below; `marks` [{from, to, name}] behind; `fired` {at, observed, lines} is a rule.
 */
export function Plot({ points, label, height = 250, stepped = false, baseline = null, marks = [], fired = null, ticks = "day", open = false, dots = true }) {
  const [box, width] = useWidth(720);
  const narrow = width < 480;
  const edge = { left: 34, right: narrow ? 66 : 92, top: 22, bottom: baseline ? 56 : 26 };
  const inner = [Math.max(60, width - edge.left - edge.right), height];
  const first = points[0]?.end ?? 0;
  const last = points.at(-1);
  const length = Math.max(1, (last?.end ?? 1) - first);
  const top = Math.max(4, ...points.flatMap((point) => [point.observed ?? 0, point.bound ?? 0, point.high ?? 0, point.earlier ?? 0])) * 1.06;
  const x = (point) => edge.left + ((point.end - first) / length) * inner[0];
  const at = (seconds) => edge.left + Math.max(0, Math.min(1, (seconds - first) / length)) * inner[0];
  const level = (value) => edge.top + inner[1] - (value / top) * inner[1];
  const of = (name) => (point) => (known(point[name]) ? level(point[name]) : null);
  const step = points.length > 1 ? length / (points.length - 1) : length;
  const ys = steps(top);
  const labels = [];
  if (last) {
    const seen = points.findLast((point) => known(point.observed)) ?? last;
    if (known(seen.observed)) labels.push({ y: level(seen.observed), text: t("now", { n: number(seen.observed) }), kind: isOver(seen) ? "hottext" : "strong" });
    if (known(last.bound)) labels.push({ y: level(last.bound), text: t("bound-n", { n: number(last.bound) }), kind: "hottext" });
    if (known(last.expected)) labels.push({ y: level(last.expected), text: t("expected-n", { n: number(last.expected) }), kind: "key", second: known(last.low) ? `(${number(Math.floor(last.low))}–${number(Math.ceil(last.high))})` : null });
  }
  const then = points.findLast((point) => known(point.earlier));
  if (then) labels.push({ y: level(then.earlier), text: t("last-year-n", { n: number(then.earlier) }), kind: "" });
  labels.sort((one, other) => one.y - other.y);
  labels.forEach((one, index) => { if (index) one.y = Math.max(one.y, labels[index - 1].y + (labels[index - 1].second ? 30 : 15)); });
  const low = edge.top + inner[1] - 4;
  for (let index = labels.length - 1, room = low; index >= 0; index -= 1) {
    const below = labels[index].second ? 15 : 0;
    labels[index].y = Math.min(labels[index].y, room - below);
    room = labels[index].y - 15;
  }
  const count = narrow ? 3 : 5;
  const tick = (share) => first + share * length;
  const bottom = edge.top + inner[1];
  const gaps = unknown(points, step);
  return html`<figure class="plot" ref=${box}><svg width=${width} height=${bottom + edge.bottom} role="img" aria-label=${label}>
    ${marks.map((mark, index) => { const end = at(mark.from) > edge.left + inner[0] * 0.6; const fits = !index || at(mark.from) - at(marks[index - 1].from) > 7 * mark.name.length; return html`<g><rect class="camp" x=${at(mark.from)} y=${edge.top} width=${Math.max(2, at(mark.to) - at(mark.from))} height=${inner[1]}><title>${mark.name}</title></rect>${fits ? html`<text class="camp-text" x=${end ? at(mark.to) : at(mark.from)} y=${edge.top - 8} text-anchor=${end ? "end" : "start"}>${mark.name}</text>` : null}</g>`; })}
    ${ys.map((value) => html`<g><line class="grid" x1=${edge.left} x2=${edge.left + inner[0]} y1=${level(value)} y2=${level(value)}/><text x=${edge.left - 8} y=${level(value) + 4} text-anchor="end">${number(value)}</text></g>`)}
    <path class="band" d=${area(points, x, (point) => of("low")(point), (point) => of("high")(point))}/>
    <path class="exp" d=${path(points, x, of("expected"), stepped)}/>
    ${gaps.map((run) => html`<rect class="out" x=${x(run) - (step / length) * inner[0] / 2} y=${edge.top} width=${Math.max(2, ((run.last - run.end + step) / length) * inner[0])} height=${inner[1]}/>`)}
    ${gaps.length ? html`<text x=${x(gaps[0])} y=${edge.top - 8} text-anchor="middle">${t(gaps.some((run) => run.gap === "outage") ? "outage" : "no-answer")}</text>` : null}
    ${then ? html`<path class="then" d=${path(points, x, of("earlier"))}/>` : null}
    <path class="bound" d=${path(points, x, of("bound"), stepped)}/>
    <path class="obs" d=${path(points, x, of("observed"), stepped)}/>
    ${dots && !stepped && points.length <= 90 ? points.map((point) => known(point.observed) && html`<circle class=${isOver(point) ? "dot over" : "dot"} cx=${x(point)} cy=${level(point.observed)} r=${isOver(point) ? 3 : 1.8}><title>${moment(point.end)}: ${number(point.observed)}</title></circle>`) : null}
    ${fired ? html`<g><line class="rule" x1=${at(fired.at)} x2=${at(fired.at)} y1=${edge.top - 4} y2=${bottom}/><circle class="dot open" cx=${at(fired.at)} cy=${level(fired.observed)} r="5"/>
      ${fired.lines.map((line, index) => html`<text class=${index ? "" : "hottext"} x=${at(fired.at) + (at(fired.at) > width / 2 ? -8 : 8)} y=${edge.top + 6 + index * 15} text-anchor=${at(fired.at) > width / 2 ? "end" : "start"}>${line}</text>`)}</g>` : null}
    ${last && known(last.observed) ? html`<circle class=${open ? "dot open" : isOver(last) ? "dot over" : "dot"} cx=${x(last)} cy=${level(last.observed)} r="5"/>` : null}
    ${labels.map((one) => html`<g><text class=${one.kind} x=${edge.left + inner[0] + 10} y=${one.y + 4}>${one.text}</text>${one.second ? html`<text x=${edge.left + inner[0] + 10} y=${one.y + 19}>${one.second}</text>` : null}</g>`)}
    ${Array.from({ length: count }, (_, index) => index / (count - 1)).map((share) => html`<text x=${edge.left + share * inner[0]} y=${bottom + 18} text-anchor="middle">${ticks === "hour" ? (share === 0 || length > 86400 * 1.2 ? `${weekday(tick(share)).split(" ")[0]} ${clock(tick(share))}` : clock(tick(share))) : day(tick(share))}</text>`)}
    ${baseline && baseline.to > first ? html`<g>${(baseline.without ?? []).map((end) => html`<rect class="out" x=${at(end - step / 2)} y=${bottom + 24} width=${Math.max(2, at(end + step / 2) - at(end - step / 2))} height="9"><title>${day(end)}</title></rect>`)}<path class="brace" d=${`M${at(baseline.from)} ${bottom + 28}v6H${at(baseline.to)}v-6`}/><text x=${Math.max(edge.left + 60, (at(baseline.from) + at(baseline.to)) / 2)} y=${bottom + 48} text-anchor="middle">${baseline.text}</text></g>` : null}
  </svg></figure>`;
}

/** A small trend: range and bound are two marks here too. What comes before the first window judged is no gap. */
export function Spark({ points, height = 36, label, cursor = null, marks = [], gaps = false }) {
  const [box, width] = useWidth(140);
  const inner = width - 8;
  const first = points[0]?.end ?? 0;
  const length = Math.max(1, (points.at(-1)?.end ?? 1) - first);
  const top = Math.max(2, ...points.flatMap((point) => [point.observed ?? 0, point.bound ?? 0, point.high ?? 0]));
  const x = (point) => 3 + ((point.end - first) / length) * inner;
  const level = (value) => height - 3 - (value / top) * (height - 8);
  const of = (name) => (point) => (known(point[name]) ? level(point[name]) : null);
  const last = points.at(-1);
  const step = points.length > 1 ? length / (points.length - 1) : length;
  const inside = (seconds) => Math.max(first - step / 2, Math.min(first + length + step / 2, seconds));
  const wide = (from, to) => ({ x: x({ end: inside(from) }), width: Math.max(2, x({ end: inside(to) }) - x({ end: inside(from) })) });
  return html`<div class="spark" ref=${box}><svg width=${width} height=${height} role="img" aria-label=${label}>
    ${marks.map((mark) => html`<rect class="camp" ...${wide(mark.from, mark.to)} height=${height}><title>${mark.name}</title></rect>`)}
    ${gaps ? unknown(points, step).filter((run) => run.end > first || run.gap).map((run) => html`<rect class="out" ...${wide(run.end - step / 2, run.last + step / 2)} height=${height}><title>${t(run.gap === "outage" ? "outage" : "no-answer")}</title></rect>`) : null}
    <path class="band" d=${area(points, x, of("low"), of("high"))}/>
    ${points.every((point) => !known(point.low)) ? html`<path class="exp" d=${path(points, x, of("expected"))}/>` : null}
    <path class="bound" d=${path(points, x, of("bound"))}/><path class="obs" d=${path(points, x, of("observed"))}/>
    ${cursor !== null ? html`<line class="cursor" x1=${x({ end: cursor })} x2=${x({ end: cursor })} y1="0" y2=${height}/>` : null}
    ${last && known(last.observed) ? html`<circle class=${isOver(last) ? "dot over" : "dot"} cx=${x(last)} cy=${level(last.observed)} r="3.5"/>` : null}
  </svg></div>`;
}

/** One of several on a common scale, against expected: range, bound, now. `most` is the ratio at the right end. */
export function Forest({ window, most }) {
  const [box, width] = useWidth(240);
  const expected = Math.max(window.expected, 0.1);
  const x = (value) => Math.min(1, value / expected / most) * (width - 8) + 4;
  const [low, high] = usual({ low: window.expected_low, high: window.expected_high });
  return html`<div class="forest" ref=${box}><svg width=${width} height="16" aria-hidden="true">
    <line class="grid" x1=${x(expected)} x2=${x(expected)} y1="-8" y2="24"/>
    ${known(low) ? html`<rect class="band" x=${x(low)} y="4" width=${Math.max(1, x(high) - x(low))} height="8" rx="2"/>` : null}
    ${known(window.upperbound) ? html`<line class="tick b" x1=${x(window.upperbound)} x2=${x(window.upperbound)} y1="2" y2="14"/>` : null}
    <circle class=${window.alarm ? "dot over" : "dot"} cx=${x(window.observed)} cy="8" r="4"/>
  </svg></div>`;
}

export function Bars({ rows, of }) {
  return html`<div class="bars">${rows.map((row) => html`<bdi>${row.name}</bdi><svg height="14" aria-hidden="true"><rect class="bar-bg" width="100%" height="14" rx="2"/><rect class="bar" width=${`${Math.min(100, (100 * row.posts) / Math.max(1, of)).toFixed(1)}%`} height="14" rx="2"/></svg><span class="num">${number(row.posts)}</span>`)}</div>`;
}

/** Shares over time, one bar a pane: what wasn't seen is hatched. */
export function Strip({ panes, label }) {
  const [box, width] = useWidth(480);
  const first = panes[0]?.start ?? 0;
  const last = panes.at(-1);
  const length = Math.max(1, (last?.start ?? 0) + (last?.seconds ?? 1) - first);
  return html`<div class="strip" ref=${box}><svg width=${width} height="34" role="img" aria-label=${label}><rect fill="url(#hatch)" width=${width} height="34"/>
    ${panes.map((pane) => html`<rect class="seen" x=${((pane.start - first) / length) * width} y=${34 - 34 * pane.share} width=${Math.max(1, (pane.seconds / length) * width - 0.4)} height=${34 * pane.share}><title>${moment(pane.start)}: ${percent(pane.share)}</title></rect>`)}
  </svg><p class="ends"><span>${panes.length ? day(first) : ""}</span><span>${panes.length ? day(last.start) : ""}</span></p></div>`;
}
