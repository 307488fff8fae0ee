// The explorer: a map, the same as a table, and small multiples, all on one day that a slider moves; and one series hour by hour.

import { html, useEffect, useMemo, useState } from "/vendor/preact-htm.js";
import { query, useAnswer } from "/ask.js";
import { cellAt, filled } from "/alert.js";
import { campaigns, Plot, Spark } from "/draw.js";
import { classOf, isEurope, Legend, Map } from "/map.js";
import { Failed, Nothing, Panel, Waiting } from "/parts.js";
import { clock, day, moment, n, number, percent, place, span, t, times, weekday } from "/words.js";

const MEASURES = ["ratio", "rate", "accounts"];

export const rateOf = (cell) => (cell?.population ? (cell.observed * 1e6) / cell.population : null);

/** For rate and count: fifths of the greatest, in steps of one colour. */
function scaled(cells, measure) {
  if (measure === "ratio") return [cells, null];
  const value = (cell) => (measure === "rate" ? rateOf(cell) : cell.observed);
  const known = Object.values(cells).filter((cell) => ["alarm", "calm"].includes(cell.answer) && value(cell) !== null);
  const top = Math.max(1e-9, ...known.map(value));
  return [Object.fromEntries(Object.entries(cells).map(([code, cell]) => [code, known.includes(cell) ? { ...cell, shade: Math.min(4, Math.floor((value(cell) / top) * 5)) } : cell])), top];
}

function Slider({ data, at, set, playing, setPlaying }) {
  const alarms = data.ends.map((_, index) => data.places.filter((one) => one.answer[index] === "alarm").length);
  const most = Math.max(1, ...alarms);
  const width = 100 / Math.max(1, data.ends.length);
  const seen = data.coverage[at];
  const words = weekday(data.ends[at] - 1);
  return html`<div class="time"><button class="btn icon" type="button" aria-label=${t(playing ? "stop" : "play")} onClick=${() => setPlaying(!playing)}><svg width="14" height="14" aria-hidden="true"><path d=${playing ? "M3 2h3v10H3ZM8 2h3v10H8Z" : "M3 1.5v11l9-5.5Z"} fill="currentColor"/></svg></button>
    <div class="slide"><svg class="days" height="46" role="img" aria-label=${t("alarms-by-day")}>${alarms.map((count, index) => html`<g>${data.coverage[index] !== null && data.coverage[index] < 0.8 ? html`<rect class="out" x=${`${index * width}%`} width=${`${width}%`} height="46"/>` : null}<rect class=${index === at ? "bar now" : "bar"} x=${`${index * width + width * 0.15}%`} width=${`${width * 0.7}%`} y=${46 - (42 * count) / most} height=${(42 * count) / most}/></g>`)}<line class="grid" x2="100%" y1="46" y2="46"/></svg>
    <input type="range" min="0" max=${data.ends.length - 1} value=${at} aria-label=${t("day")} aria-valuetext=${words} onInput=${(event) => set(Number(event.target.value))}/></div>
    <output>${words}<small>${t("window-to")} ${clock(data.ends[at])}${seen === null || seen === undefined ? "" : `, ${t("seen-share", { share: percent(seen) })}`}</small></output></div>`;
}

export function Explorer({ route, go, status }) {
  const topics = useAnswer("/api/v1/topics").data?.topics ?? [];
  const usable = topics.filter((topic) => topic.regions.length);
  const named = topics.find((one) => one.topic === route.query.topic);
  const isUnknown = route.query.topic && topics.length > 0 && !named;
  const topic = isUnknown ? null : named ?? usable.find((one) => one.open_alerts) ?? usable[0];
  const isEmpty = topic && !usable.includes(topic);
  const choices = isEmpty ? [topic, ...usable] : usable;
  const countries = [...new Set(topics.flatMap((one) => one.regions.filter((region) => region.level === 1).map((region) => region.region.slice(0, 2))))].sort((one, other) => place(one).localeCompare(place(other)));
  const under = route.query.under ?? "europe";
  const measure = MEASURES.includes(route.query.measure) ? route.query.measure : "ratio";
  const change = (parts) => go(`/explorer?${query({ ...route.query, ...parts })}`, true);
  const { data, error } = useAnswer(topic && !isEmpty ? `/api/v1/map?${query({ topic: topic.topic, under: under === "europe" ? "001" : under, days: 28 })}` : null);
  const other = useAnswer(topic && route.query.with ? `/api/v1/map?${query({ topic: route.query.with, under: under === "europe" ? "001" : under, days: 28 })}` : null).data;
  const [on, mark] = useState(null);
  const [playing, setPlaying] = useState(false);
  useEffect(() => { document.title = `${t("explorer")} · pumphandle`; }, []);
  const places = useMemo(() => (data?.places ?? []).filter((one) => under !== "europe" || isEurope(one.region)), [data, under]);
  const last = (data?.ends.length ?? 1) - 1;
  const asked = data && route.query.day ? data.ends.findIndex((end) => new Date((end - 1) * 1000).toISOString().slice(0, 10) === route.query.day) : -1;
  const at = asked >= 0 ? asked : last;
  const set = (index) => change({ day: index === last ? null : new Date((data.ends[index] - 1) * 1000).toISOString().slice(0, 10) });
  useEffect(() => {
    if (!playing || !data) return;
    const timer = setTimeout(() => {
      if (at >= last) return setPlaying(false);
      set(at + 1);
    }, 500);
    return () => clearTimeout(timer);
  }, [playing, at, data]);
  const play = (yes) => {
    if (yes && at === last) set(0);
    setPlaying(yes);
  };
  const [cells, top] = useMemo(() => scaled(Object.fromEntries(places.map((one) => [one.region, cellAt(one, at)])), measure), [places, at, measure]);
  const value = (code) => {
    const cell = cells[code];
    if (!cell.answer || ["outage", "none"].includes(cell.answer)) return -1;
    return measure === "rate" ? rateOf(cell) ?? -1 : measure === "accounts" ? cell.observed : classOf(cell) === "cx" ? -0.5 : cell.observed / Math.max(cell.expected, 0.1);
  };
  const ranked = [...places].sort((one, two) => value(two.region) - value(one.region) || place(one.region).localeCompare(place(two.region)));
  const points = (one, data) => data.ends.map((end, index) => ({ end, observed: ["outage", null].includes(one.answer[index]) ? null : one.observed[index], gap: one.answer[index] === "outage" ? "outage" : null, expected: one.expected[index], low: one.low[index], high: one.high[index], bound: one.bound[index] }));
  const rows = () => [["day_end", "region", "accounts", "expected", "expected_low", "expected_high", "upperbound", "posts_here", "answer"], ...places.flatMap((one) => data.ends.map((end, index) => [new Date(end * 1000).toISOString(), one.region, one.observed[index], one.expected[index], one.low[index], one.high[index], one.bound[index], one.population[index], one.answer[index]]))];
  const view = under === "lang" ? null : under;
  const busiest = [...places].sort((one, two) => (two.observed[last] ?? 0) - (one.observed[last] ?? 0)).slice(0, 12).sort((one, two) => value(two.region) - value(one.region));
  const marks = data?.ends.length > 1 ? campaigns(topics, topic.topic, data.ends[0], data.ends.at(-1)) : [];
  const title = topic ? t(`map-${measure}`, { topic: topic.name }) : t("explorer");
  return html`<div class="wrap"><main id="main" tabindex="-1">
    <div class="controls"><h1>${t("explorer")}</h1>
      <label class="field">${t("topic")}<select onChange=${(event) => change({ topic: event.target.value })}>${choices.map((one) => html`<option value=${one.topic} selected=${one === topic}>${one.name}</option>`)}</select></label>
      <label class="field">${t("places")}<select onChange=${(event) => change({ under: event.target.value, region: null })}><option value="europe" selected=${under === "europe"}>${t("countries-of-europe")}</option><option value="001" selected=${under === "001"}>${t("countries-of-world")}</option>${countries.map((code) => html`<option value=${code} selected=${under === code}>${place(code)}</option>`)}<option value="lang" selected=${under === "lang"}>${t("languages")}</option></select></label>
      <label class="field">${t("compare-with")}<select onChange=${(event) => change({ with: event.target.value })}><option value="">${t("compare-nothing")}</option>${usable.filter((one) => one !== topic).map((one) => html`<option value=${one.topic} selected=${route.query.with === one.topic}>${one.name}</option>`)}</select></label>
      <div class="seg" role="group" aria-label=${t("measure")}>${MEASURES.map((one) => html`<button type="button" aria-pressed=${measure === one} onClick=${() => change({ measure: one })}>${t(`measure-${one}`)}</button>`)}</div>
    </div>
    <${Failed} error=${error}/>
    ${isUnknown ? html`<${Nothing} title=${t("unknown-topic", { topic: route.query.topic })}><a href="/topics">${t("topics")}</a></${Nothing}>` : null}
    ${isEmpty ? html`<${Nothing} title=${t("topic-empty", { topic: topic.name })}>${t("topic-empty-why")}</${Nothing}>` : null}
    ${!data && !error && !isUnknown && !isEmpty ? (status && !usable.length ? html`<${Nothing} title=${t("nothing-yet")}>${t("nothing-yet-why")}</${Nothing}>` : html`<${Waiting} height=${520}/>`) : null}
    ${data && !places.length ? html`<${Nothing} title=${t("no-places")}>${t("no-places-why")}</${Nothing}>` : null}
    ${data && places.length ? html`<div class="explore">
      <${Panel} id="map" title=${title} note=${t("map-note", { span: span(data.seconds) })} rows=${rows}>
        ${view ? html`<div class="mapbox"><${Map} view=${view} cells=${cells} on=${on} mark=${mark} label=${t("map-label")} width=${640} height=${view === "001" ? 330 : 560}/></div><${Legend} cells=${cells} top=${top}/>` : html`<p class="note">${t("languages-no-map")}</p>`}
        <${Slider} data=${data} at=${at} set=${set} playing=${playing} setPlaying=${play}/>
        <p class="note">${t("map-foot")}</p></${Panel}>
      <${Panel} id="twin" title=${t("as-table")} note=${t("as-table-note")} rows=${rows} picture=${false}><div class="scroll twin" tabindex="0" role="region" aria-label=${t("table-of", { title: t("as-table") })}><table><thead><tr><th scope="col">${t("place")}</th><th scope="col" class="n">${t("accounts-head")}</th><th scope="col" class="n">${t("expected")}</th><th scope="col" class="n">${measure === "rate" ? t("per-million-short") : t("ratio")}</th><th scope="col">${t("bound")}</th></tr></thead><tbody>
        ${ranked.map((one) => { const cell = cells[one.region]; const kind = classOf(cell); const blank = ["co", "cn"].includes(kind) || cell.answer === "none"; return html`<tr class=${on === one.region ? "on" : ""}><th scope="row"><svg width="14" height="12" aria-hidden="true"><rect class=${kind} width="14" height="12"/></svg><a href=${`/series?${query({ topic: topic.topic, region: one.region })}`}>${place(one.region)}</a></th><td class="n">${blank ? "–" : number(cell.observed)}</td><td class="n quiet">${blank ? "–" : number(cell.expected)}</td><td class="n">${blank ? "–" : measure === "rate" ? number(rateOf(cell), 0) : kind === "cx" ? "–" : times(cell.observed / Math.max(cell.expected, 0.1))}</td><td class=${cell.answer === "alarm" ? "hot" : "quiet"}>${kind === "cx" ? t("too-few") : kind === "co" ? t("outage") : kind === "cn" ? t("no-answer") : cell.answer === "alarm" ? t("above") : ""}</td></tr>`; })}</tbody></table></div></${Panel}>
    </div>
    <${Panel} id="multiples" title=${t("multiples", { n: number(busiest.length) })} note=${t("multiples-note")} rows=${rows} picture=${false}><div class="multiples">${busiest.map((one) => { const cell = cells[one.region]; const twin = other?.places.find((two) => two.region === one.region); return html`<figure><figcaption><a href=${`/series?${query({ topic: topic.topic, region: one.region })}`}>${place(one.region)}</a><span class=${cell.answer === "alarm" ? "hot" : "quiet"}>${["cx", "co", "cn"].includes(classOf(cell)) ? t("too-few") : times(cell.observed / Math.max(cell.expected, 0.1))}</span></figcaption><${Spark} points=${points(one, data)} height=${68} marks=${marks} gaps=${true} cursor=${data.ends[at]} label=${`${place(one.region)}: ${n("accounts", cell.observed ?? 0)}`}/>${twin ? html`<${Spark} points=${points(twin, other)} height=${40} marks=${marks} gaps=${true} cursor=${data.ends[at]} label=${`${place(one.region)}, ${other.topic_name}`}/>` : null}</figure>`; })}</div>${other ? html`<p class="note">${t("compared", { one: topic.name, other: other.topic_name })}</p>` : null}${marks.length ? html`<p class="note"><span class="key-camp" aria-hidden="true"></span> ${[...new Set(marks.map((mark) => `${mark.name} (${day(mark.from)})`))].join(", ")}</p>` : null}</${Panel}>` : null}
  </main></div>`;
}

// ---------- one series, hour by hour ----------

const SPANS = [28, 91, 366];

export function SeriesPage({ route, go }) {
  const { topic, region } = route.query;
  const days = SPANS.includes(Number(route.query.days)) ? Number(route.query.days) : 28;
  const topics = useAnswer("/api/v1/topics").data?.topics ?? [];
  const known = topics.find((one) => one.topic === topic);
  const from = known?.newest ? known.newest - days * 86400 : null;
  const { data, error } = useAnswer(known && region ? `/api/v1/series?${query({ topic, region, seconds: 86400, every: days > 91 ? 86400 : 3600, from: from && Math.floor(from / 3600) * 3600 })}` : null);
  const why = useAnswer(topic && region ? `/api/v1/why-not?${query({ topic, region })}` : null).data;
  const points = useMemo(() => (data?.windows.length ? filled(data.windows, data.windows[0].end, data.windows.at(-1).end, days > 91 ? 86400 : 3600) : []), [data]);
  const title = `${known?.name ?? topic} · ${place(region ?? "001")}`;
  useEffect(() => { document.title = `${title} · pumphandle`; }, [title]);
  const rows = () => [["end", "observed", "expected", "expected_low", "expected_high", "upperbound", "alarm", "reason", "coverage"], ...(data?.windows ?? []).map((one) => [new Date(one.end * 1000).toISOString(), one.observed, one.expected, one.expected_low, one.expected_high, one.upperbound, one.alarm === null ? null : Number(one.alarm), one.reason, one.coverage])];
  return html`<div class="wrap"><main id="main" tabindex="-1"><nav class="crumb" aria-label=${t("explorer")}><a href=${`/explorer?${query({ topic })}`}>${t("explorer")}</a></nav><h1 class="plain-head">${title}</h1>
    <div class="seg" role="group" aria-label=${t("span")}>${SPANS.map((one) => html`<button type="button" aria-pressed=${one === days} onClick=${() => go(`/series?${query({ ...route.query, days: one })}`, true)}>${t("days", { n: number(one) })}</button>`)}</div>
    <${Failed} error=${error ?? (topics.length && !known ? { status: 404, message: t("no-places") } : null)}/>
    ${data ? html`<${Panel} id="series" title=${t("hour-by-hour")} note=${t("hour-by-hour-note")} rows=${rows}>${points.length > 1 ? html`<${Plot} points=${points} height=${300} dots=${false} marks=${campaigns(topics, topic, points[0].end, points.at(-1).end)} label=${t("hours-label")}/>` : html`<p class="quiet">${t("no-history")}</p>`}</${Panel}>` : error ? null : html`<${Waiting} height=${380}/>`}
    ${why ? html`<section class="panel spaced" aria-labelledby="h-why"><header><h2 id="h-why">${t(why.alert ? "alert" : "why-not")}</h2></header>${why.alert ? html`<p><a href=${`/alerts/${encodeURIComponent(why.alert)}`}>${t("why-open")}</a></p>` : null}${why.window ? html`<p>${t("why-window", { span: span(why.window.seconds), end: moment(why.window.end), n: n("accounts", why.window.observed), expected: number(why.window.expected), bound: number(why.window.upperbound) })}${why.more_needed && !why.alert ? ` ${n("why-more", why.more_needed)}` : ""}</p>` : null}<ul class="plain-list">${why.held_back.map((one) => html`<li title=${one.says}>${t("why-held", { reason: t(`held-${one.what}`) })}</li>`)}${why.deliveries.map((one) => html`<li><bdi>${t(`delivery-${one.state}`, { name: one.subscription, time: moment(one.at) })}</bdi></li>`)}${why.excluded.map((one) => html`<li>${t("excluded-days", { from: day(one.from), to: day(one.to) })} <a href=${`/alerts/${encodeURIComponent(one.alert)}`}>${t("an-alert")}</a></li>`)}</ul></section>` : null}
  </main></div>`;
}
