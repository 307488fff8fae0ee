// One alert explained: a sentence, what to check, the picture, the numbers, and what people did.

import { html, useEffect, useLayoutEffect, useMemo, useState } from "/vendor/preact-htm.js";
import { query, useAnswer } from "/ask.js";
import { Bars, campaigns, Forest, Plot } from "/draw.js";
import { act, acknowledge, Checks, Context, handling, isQueued, last, signed, StageTag, Undo, undo } from "/inbox.js";
import { Legend, Map } from "/map.js";
import { Chip, Failed, Panel, Waiting } from "/parts.js";
import { clock, day, instant, lasted, moment, n, number, percent, place, range, span, t, times, year, zone, zoned } from "/words.js";

const DAY = 86400;
/** The same weekdays a year ago. */
const YEAR = 364 * DAY;
const STATES = ["new", "triaged", "verifying", "decided", "closed"];
const OUTCOMES = ["health-event", "known", "talk-only", "artefact", "could-not-tell"];

const pointOf = (window) => ({
  end: window.end,
  observed: window.answer === "outage" ? null : window.observed,
  gap: window.answer === "outage" ? "outage" : null,
  expected: window.expected,
  low: window.expected_low,
  high: window.expected_high,
  bound: window.upperbound,
});

/** Windows that weren't judged are gaps. */
export function filled(windows, from, to, every) {
  const known = new globalThis.Map(windows.map((window) => [window.end, window]));
  const points = [];
  for (let end = from; end <= to; end += every) points.push(known.has(end) ? pointOf(known.get(end)) : { end, observed: null });
  while (points.length && points[0].observed === null) points.shift();
  return points;
}

function Act({ alert, session, now }) {
  const [failed, setFailed] = useState(null);
  const [note, setNote] = useState("");
  const [until, setUntil] = useState("");
  const [owner, setOwner] = useState(last(alert)?.assignee ?? "");
  const [outcome, setOutcome] = useState("");
  const state = handling(alert);
  const does = async (change) => {
    const words = await act(alert, { ...change, ...(note && { note }) });
    setFailed(words);
    if (!words) setNote("");
  };
  const at = STATES.indexOf(state);
  return html`<section class="panel" aria-labelledby="h-act"><h2 id="h-act" class="unseen">${t("act")}</h2>
    <ol class="steps" aria-label=${t("state")}>${STATES.map((one, index) => html`<li class=${index < at ? "past" : ""} aria-current=${index === at ? "step" : null}>${t(`state-${one}`)}</li>`)}</ol>
    ${session.acts ? html`<div class="form">
      <p class="acts">${state === "new" ? html`<button class="btn main" type="button" data-act="acknowledge" onClick=${() => acknowledge(alert, session).then(setFailed)}>${t("acknowledge")} <kbd>a</kbd></button>` : null}
        ${["new", "triaged"].includes(state) ? html`<button class="btn" type="button" onClick=${() => does({ state: "verifying" })}>${t("start-verifying")} <kbd>v</kbd></button>` : null}
        ${state === "decided" ? html`<button class="btn" type="button" onClick=${() => does({ state: "closed" })}>${t("close")}</button>` : null}
        <${Undo} alert=${alert} does=${async (make) => setFailed(await make())}/></p>
      ${failed ? html`<p class="small hot" role="alert">${failed}</p>` : null}
      <p class="small quiet">${last(alert) ? t("with-since", { who: last(alert).assignee || signed(last(alert).actor), time: moment(last(alert).at) }) : t("nobody-has-it")}</p>
      <form class="two" onSubmit=${(event) => { event.preventDefault(); does({ assignee: owner }); }}><label class="stack">${t("owner")}<input value=${owner} maxlength="80" onInput=${(event) => setOwner(event.target.value)}/></label><button class="btn low">${t("assign")}</button></form>
      <form class="two" onSubmit=${(event) => { event.preventDefault(); if (until) does({ snooze_until: Math.round(new Date(`${until}T08:00`).getTime() / 1000) }); }}><label class="stack">${t("snooze-until")}<input type="date" value=${until} onInput=${(event) => setUntil(event.target.value)}/></label><button class="btn low" disabled=${!until}>${t("snooze")}</button></form>
      <label class="stack">${t("note")}<textarea maxlength="2000" placeholder=${t("note-hint")} value=${note} onInput=${(event) => setNote(event.target.value)}></textarea></label>
      <p class="acts">${note ? html`<button class="btn" type="button" onClick=${() => does({})}>${t("add-note")}</button>` : null}</p>
      <details id="decide"><summary>${t("decide")} <kbd>d</kbd></summary><fieldset class="radios"><legend class="unseen">${t("outcome")}</legend>${OUTCOMES.map((one) => html`<label><input type="radio" name="outcome" value=${one} checked=${outcome === one} onChange=${() => setOutcome(one)}/> ${t(`outcome-${one}`)}</label>`)}</fieldset>
        <p class="small quiet">${t("event-leaves-baselines")}</p><p class="acts"><button class="btn" type="button" disabled=${!outcome} onClick=${() => does({ state: "decided", outcome })}>${t("decide-now")}</button></p></details>
    </div>` : html`<p class="small quiet">${t(session.role === "official" || session.role === "operator" ? "cannot-act" : "may-not-act")}</p>`}
  </section>`;
}

function Clocks({ alert, session }) {
  const event = last(alert);
  const acknowledged = alert.events.find((one) => one.state !== "new");
  const entered = (at) => (at ? instant(at) : html`<span class="quiet">${t("not-entered")}</span>`);
  const [what, setWhat] = useState("emerged_at");
  const [when, setWhen] = useState("");
  const [failed, setFailed] = useState(null);
  return html`<section class="panel" aria-labelledby="h-717"><header><h2 id="h-717">7-1-7</h2></header>
    <dl class="clock"><dt>${t("emerged")}</dt><dd>${entered(event?.emerged_at)}</dd>
    <dt>${t("detected")}</dt><dd>${t("by-system", { time: instant(alert.fired_at) })}</dd>
    <dt>${t("acknowledged")}</dt><dd>${acknowledged ? t("after", { time: lasted(Math.max(0, acknowledged.at - alert.fired_at)) }) : html`<span class="quiet">${t("not-yet")}</span>`}</dd>
    <dt>${t("notified")}</dt><dd>${entered(event?.notified_at)}</dd><dt>${t("responded")}</dt><dd>${entered(event?.responded_at)}</dd></dl>
    ${session.acts ? html`<details><summary>${t("enter-time")}</summary><form class="form" onSubmit=${async (submit) => { submit.preventDefault(); setFailed(await act(alert, { [what]: Math.round(new Date(when).getTime() / 1000) })); }}>
      <label class="stack">${t("what")}<select value=${what} onChange=${(change) => setWhat(change.target.value)}>${[["emerged_at", "emerged"], ["notified_at", "notified"], ["responded_at", "responded"]].map(([key, name]) => html`<option value=${key}>${t(name)}</option>`)}</select></label>
      <label class="stack">${t("when")}<input type="datetime-local" required value=${when} onInput=${(input) => setWhen(input.target.value)}/></label><button class="btn">${t("enter")}</button>${failed ? html`<p class="small hot" role="alert">${failed}</p>` : null}</form></details>` : null}
  </section>`;
}

/** What a revision changed, with the span of its window. */
function revised(one, before) {
  const numbers = { n: number(one.observed), bound: number(one.upperbound), span: span(one.window_seconds) };
  if (one.state === "withdrawn") return t("log-withdrawn", numbers);
  if (one.state === "closed") return t("log-over", numbers);
  if (!before) return t(one.stage === "early" ? "log-early" : "log-opened", numbers);
  const joined = one.regions.filter((code) => !before.regions.includes(code)).map(place);
  const words = before.state !== "open" ? "log-again" : before.stage === "early" && one.stage !== "early" ? "log-confirmed" : "log-updated";
  return `${t(words, numbers)}${joined.length ? `; ${t("log-joined", { places: joined.join(", ") })}` : ""}`;
}

/** What a person changed. */
function done(event) {
  if (event.undone) return t("log-undone");
  const words = {
    state: () => t(`state-${event.state}`),
    outcome: () => (event.outcome ? t(`outcome-${event.outcome}`) : t("log-no-outcome")),
    assignee: () => (event.assignee ? t("log-assigned", { who: event.assignee }) : t("log-unassigned")),
    snooze: () => (event.snooze_until ? t("snoozed-to", { day: day(event.snooze_until) }) : t("log-awake")),
    milestones: () => t("log-milestones"),
  };
  return event.changed.map((what) => words[what]()).join(", ") || t("note");
}

function Log({ alert, revisions }) {
  const lines = revisions.map((one, at) => ({ at: at ? Math.max(one.window_end, alert.fired_at) : one.fired_at, text: revised(one, revisions[at - 1]) }));
  for (const event of alert.events) lines.push({ at: event.at, text: html`<b>${done(event)}</b>, <bdi>${signed(event.actor)}</bdi>${event.note ? html`: <bdi>${event.note}</bdi>` : ""}` });
  lines.sort((one, other) => other.at - one.at);
  return html`<section class="panel" aria-labelledby="h-log"><header><h2 id="h-log">${t("what-happened")}</h2></header><ol class="log">${lines.slice(0, 20).map((line) => html`<li><time>${moment(line.at)}</time><span>${line.text}</span></li>`)}</ol></section>`;
}

const known = (value) => value !== null && value !== undefined;

function factsOf(alert, window, usual) {
  const grounds = alert.grounds ?? {};
  const of = (count) => (alert.sampled ? `${percent(count / alert.sampled)} · ${t("n-of", { n: number(count), of: number(alert.sampled) })}` : "–");
  const rise = grounds.detectable_rise ?? window?.detectable_rise;
  return [
    [t("observed"), n("accounts", alert.observed), grounds.expected_low !== null && grounds.expected_low !== undefined ? range(grounds.expected_low, grounds.expected_high).slice(1, -1) : "", t("observed-means", { posts: n("posts", alert.posts) })],
    [t("expected"), number(alert.expected), "", grounds.baseline?.length ? t("expected-means", { n: number(grounds.baseline.length), span: span(alert.window_seconds) }) : t("expected-means-plain")],
    [t("bound"), number(alert.upperbound), "", t("bound-means")],
    [t("ratio"), times(alert.ratio), grounds.expected_low !== null && grounds.expected_low !== undefined ? `${number(grounds.expected_low / Math.max(alert.expected, 0.1), 1)}–${number(grounds.expected_high / Math.max(alert.expected, 0.1), 1)} ×` : "", t("ratio-means")],
    [t("per-million"), alert.population ? number((alert.posts * 1e6) / alert.population) : "–", known(usual.posts_per_million) ? number(usual.posts_per_million) : "", alert.population ? t("per-million-means", { n: number(alert.population), place: place(alert.region) }) : t("no-denominator")],
    [t("first-person-share"), of(alert.first_person), known(usual.first_person) ? percent(usual.first_person) : "", t("first-person-means")],
    [t("news-share"), of(alert.news), known(usual.news) ? percent(usual.news) : "", t("news-means")],
    [t("near-copies"), alert.sampled ? t("n-of", { n: number(alert.near_copies), of: number(alert.sampled) }) : "–", "", t("near-copies-means")],
    [t("coverage"), percent(alert.coverage), "≥ 80 %", t("coverage-means")],
    [t("located"), percent(grounds.located_share), "", t("located-means")],
    [t("detectable"), rise ? `${times(rise)} · ${n("accounts", Math.ceil(rise * alert.expected))}` : "–", "", t("detectable-means")],
  ];
}

const tableOf = (points) => [["end", "observed", "expected", "expected_low", "expected_high", "upperbound", "observed_last_year"], ...points.map((point) => [new Date(point.end * 1000).toISOString(), point.observed, point.expected, point.low, point.high, point.bound, point.earlier])];

function Where({ alert }) {
  const country = /^[A-Z]{2}/.test(alert.region) ? alert.region.slice(0, 2) : null;
  const isFirst = alert.region.includes("-");
  const under = isFirst ? country : "001";
  const { data } = useAnswer(`/api/v1/map?${query({ topic: alert.topic, under, to: alert.window_end, days: 1 })}`);
  const cells = useMemo(() => Object.fromEntries((data?.places ?? []).map((one) => [one.region, cellAt(one, 0)])), [data]);
  if (!data) return html`<${Panel} id="where" title=${t("where")}><${Waiting} height=${320}/></${Panel}>`;
  const rows = () => [["region", "observed", "expected", "upperbound", "answer"], ...data.places.map((one) => [one.region, one.observed[0], one.expected[0], one.bound[0], one.answer[0]])];
  const own = cells[alert.region];
  return html`<${Panel} id="where" title=${t("where")} note=${t("against-expected")} rows=${rows}>
    <${Map} view=${isFirst ? country : "europe"} cells=${cells} width=${isFirst ? 300 : 340} height=${isFirst ? 380 : 330} label=${t("where-label")} named=${own ? { code: alert.region, text: `${place(alert.region)} ${times(alert.ratio)}` } : null}/>
    <${Legend} cells=${cells}/><p class="note"><a href=${`/explorer?${query({ topic: alert.topic, under })}`}>${t("to-explorer")}</a></p></${Panel}>`;
}

export const cellAt = (one, at) => ({ observed: one.observed[at], expected: one.expected[at], bound: one.bound[at], low: one.low[at], high: one.high[at], answer: one.answer[at], population: one.population[at] });

function Neighbours({ alert, near, topics }) {
  const windows = [...near, ...topics].filter((one) => one.expected !== null && one.upperbound !== null);
  const most = Math.min(8, Math.max(2.5, ...windows.map((one) => Math.max(one.observed, one.upperbound) / Math.max(one.expected, 0.1)))) * 1.08;
  const row = (one, name) => html`<tr><th scope="row">${name}</th><td><${Forest} window=${one} most=${most}/></td><td class="n"><b class=${one.alarm ? "hot" : ""}>${number(one.observed)}</b></td><td class="n quiet">${number(one.expected)} ${range(one.expected_low, one.expected_high)}</td><td class="n">${number(one.upperbound)}</td></tr>`;
  const rows = () => [["topic", "region", "observed", "expected", "expected_low", "expected_high", "upperbound"], ...windows.map((one) => [one.topic, one.region, one.observed, one.expected, one.expected_low, one.expected_high, one.upperbound])];
  if (!windows.length) return null;
  return html`<${Panel} id="neighbours" title=${t("neighbours")} note=${t("neighbours-note")} rows=${rows} picture=${false}>
    <div class="scroll" tabindex="0" role="region" aria-label=${t("table-of", { title: t("neighbours") })}><table class="forests"><thead><tr><th scope="col">${t("series")}</th><th scope="col">${t("against-line")}</th><th scope="col" class="n">${t("now-head")}</th><th scope="col" class="n">${t("expected")}</th><th scope="col" class="n">${t("bound")}</th></tr></thead>
    ${near.length ? html`<tbody><tr class="group"><th colspan="5" scope="rowgroup">${t("nearby", { topic: alert.topic_name })}</th></tr>${near.map((one) => row(one, place(one.region)))}</tbody>` : null}
    ${topics.length ? html`<tbody><tr class="group"><th colspan="5" scope="rowgroup">${t("other-topics", { place: place(alert.region) })}</th></tr>${topics.map((one) => row(one, one.topic_name))}</tbody>` : null}</table></div></${Panel}>`;
}

function Earlier({ alert }) {
  const { data } = useAnswer(`/api/v1/alerts?${query({ topic: alert.topic, region: alert.region, limit: 20 })}`);
  const earlier = (data?.alerts ?? []).filter((one) => one.id !== alert.id && one.fired_at < alert.fired_at);
  return html`<section class="panel" aria-labelledby="h-earlier"><header><h2 id="h-earlier">${t("earlier")}</h2><p>${alert.topic_name}, ${place(alert.region)}</p></header>
    ${earlier.length ? html`<div class="scroll" tabindex="0" role="region" aria-label=${t("table-of", { title: t("earlier") })}><table><thead><tr><th scope="col">${t("opened")}</th><th scope="col" class="n">${t("accounts-head")}</th><th scope="col" class="n">${t("expected")}</th><th scope="col">${t("outcome")}</th><th scope="col">${t("what-it-was")}</th></tr></thead><tbody>
    ${earlier.map((one) => html`<tr><th scope="row" class="nb"><a href=${`/alerts/${encodeURIComponent(one.id)}`}>${year(one.fired_at)}</a></th><td class="n">${number(one.observed)}</td><td class="n">${number(one.expected)}</td><td class="nb">${one.state === "withdrawn" ? html`<${Chip} state="withdrawn">${t("withdrawn")}</${Chip}>` : last(one)?.outcome ? html`<${Chip} state="decided">${t(`outcome-${last(one).outcome}`)}</${Chip}>` : html`<span class="quiet">${t("not-decided")}</span>`}</td><td class="quiet"><bdi>${last(one)?.note ?? ""}</bdi></td></tr>`)}</tbody></table></div>` : html`<p class="quiet">${data ? t("no-earlier") : t("waiting")}</p>`}</section>`;
}

function Official({ alert }) {
  const { data } = useAnswer(`/api/v1/references?${query({ region: alert.region })}`);
  const latest = [...new globalThis.Map((data?.references ?? []).map((one) => [one.series, one])).values()];
  return html`<section class="panel" aria-labelledby="h-official"><header><h2 id="h-official">${t("official-series")}</h2></header>${latest.length ? html`<dl class="clock">${latest.map((one) => html`<dt><bdi>${one.series}</bdi></dt><dd>${number(one.value)} <bdi>${one.unit}</bdi>, ${year(one.date)}</dd>`)}</dl>` : html`<p class="quiet">${t("none-loaded", { place: place(alert.region) })} <code>pumphandle reference load</code></p>`}</section>`;
}

export function AlertPage({ id, session, status, go, keys }) {
  const { data, error } = useAnswer(`/api/v1/alerts/${encodeURIComponent(id)}?${query({ zone })}`);
  const inbox = useAnswer(`/api/v1/alerts?${query({ limit: 200, order: "rarity", zone })}`).data;
  const alert = data?.alert;
  const length = alert?.window_seconds ?? DAY;
  const end = Math.max(alert?.window_end ?? 0, alert?.course?.latest.end ?? 0);
  const series = (seconds, from, to, every) => (alert ? `/api/v1/series?${query({ topic: alert.topic, region: alert.region, from, to: to + 1, seconds, every })}` : null);
  // Days, also where a week raised it; weeks where no day was judged.
  const daily = useAnswer(series(Math.min(DAY, length), end - 56 * DAY, end, DAY)).data;
  const isWeekly = length > DAY && daily && !daily.windows.some((window) => window.expected !== null);
  const weekly = useAnswer(isWeekly ? series(length, end - 8 * length, end, length) : null).data;
  const eight = isWeekly ? weekly : daily;
  const shown = isWeekly ? length : Math.min(DAY, length);
  const every = Math.max(DAY, shown);
  const before = useAnswer(eight ? series(shown, end - YEAR - 56 * DAY, end - YEAR, every) : null).data;
  const hours = useAnswer(length <= DAY ? series(length, end - 36 * 3600, end) : null).data;
  const beside = useAnswer(alert ? `/api/v1/verdicts?${query({ topic: alert.topic, end: alert.window_end, seconds: length })}` : null).data;
  const topicList = useAnswer("/api/v1/topics").data?.topics;
  const others = useAnswer(alert ? `/api/v1/verdicts?${query({ region: alert.region, end: alert.window_end, seconds: length })}` : null).data;
  useEffect(() => { document.title = `${alert ? `${alert.topic_name} · ${place(alert.region)}` : t("alert")} · pumphandle`; }, [alert?.id]);
  const now = status?.latest ?? Date.now() / 1000;
  useLayoutEffect(() => {
    keys.current = alert && session.acts ? {
      a: () => handling(alert) === "new" && acknowledge(alert, session),
      v: () => ["new", "triaged"].includes(handling(alert)) && act(alert, { state: "verifying" }),
      u: () => undo(alert),
      d: () => { const box = document.getElementById("decide"); if (box) { box.open = true; box.querySelector("input").focus(); } },
    } : {};
    return () => { keys.current = {}; };
  });
  if (error && !data) return html`<main id="main" class="wrap" tabindex="-1"><h1>${t("alert")}</h1><${Failed} error=${error}/><p><a href="/">${t("inbox")}</a></p></main>`;
  if (!alert) return html`<main id="main" class="wrap" tabindex="-1"><h1 class="unseen">${t("alert")}</h1><${Waiting} height=${420}/></main>`;
  const open = (inbox?.alerts ?? []).filter((one) => isQueued(one, now));
  const index = open.findIndex((one) => one.id === id);
  const lastOf = (answer) => answer.windows.at(-1)?.end ?? end;
  const points = eight ? filled(eight.windows, lastOf(eight) - 56 * DAY, lastOf(eight), every) : [];
  const lastYear = before ? new globalThis.Map(before.windows.map((window) => [window.end + YEAR, pointOf(window).observed])) : new globalThis.Map();
  for (const point of points) point.earlier = lastYear.get(point.end) ?? null;
  const zoom = hours ? filled(hours.windows, lastOf(hours) - 36 * 3600, lastOf(hours), 3600) : [];
  const grounds = alert.grounds ?? {};
  const baseline = grounds.baseline_from ? { from: grounds.baseline_from / 1e6, to: grounds.baseline_to / 1e6, text: t("baseline", { n: number(grounds.baseline?.length ?? 0), gap: span(Math.max(3600, Math.round((alert.window_end - length - grounds.baseline_to / 1e6) / 3600) * 3600)) }) } : null;
  // Days in the baseline's span that it was computed without: outages, and what people decided was an event.
  const used = new Set((grounds.baseline ?? []).map((one) => Math.round(one.end / 1e6)));
  if (baseline && used.size) {
    baseline.without = points.filter((point) => point.end > baseline.from && point.end <= baseline.to && !used.has(point.end)).map((point) => point.end);
    if (baseline.without.length) baseline.text = n("baseline-without", baseline.without.length, { text: baseline.text });
  }
  const parent = alert.region.includes("-") ? alert.region.slice(0, 2) : null;
  const overlay = alert.region.includes(":");
  const near = (beside?.verdicts ?? []).filter((one) => (parent ? one.region.startsWith(`${parent}-`) || one.region === parent : overlay ? one.region.startsWith("lang:") : /^[A-Z]{2}$/.test(one.region) && one.region !== "ZZ") && one.expected !== null)
    .sort((one, other) => (other.region === alert.region) - (one.region === alert.region) || other.observed / Math.max(other.expected, 0.5) - one.observed / Math.max(one.expected, 0.5)).slice(0, 8);
  const topics = (others?.verdicts ?? []).filter((one) => one.topic !== alert.topic && one.expected !== null).sort((one, other) => other.observed / Math.max(other.expected, 0.5) - one.observed / Math.max(one.expected, 0.5)).slice(0, 4);
  const first = data.revisions[0];
  const confirmed = data.revisions.find((one) => one.stage !== "early");
  const fired = first && alert.fired_at >= end - 36 * 3600 ? { at: alert.fired_at, observed: first.observed, lines: [t(first.stage === "early" ? "fired-early" : "fired-close", { time: clock(alert.fired_at), n: number(first.observed) }), ...(first.stage === "early" && confirmed ? [t("confirmed-at", { time: clock(confirmed.window_end) })] : [])] } : null;
  const marks = points.length > 1 ? [{ from: alert.opened_at, to: alert.window_end, name: t("alert") }, ...campaigns(topicList, alert.topic, points[0].end, end)] : [];
  const facts = factsOf(alert, eight?.windows.at(-1), data.usual);
  const title = t("eight-weeks");
  return html`<div class="wrap"><nav class="crumb" aria-label=${t("place-in-inbox")}><a href="/">${t("inbox")}</a>${index >= 0 ? html`<span>${t("n-of", { n: number(index + 1), of: number(open.length) })}</span>` : null}
    ${open[index - 1] ? html`<a href=${`/alerts/${encodeURIComponent(open[index - 1].id)}`}>${t("previous")}</a>` : null}${index >= 0 && open[index + 1] ? html`<a href=${`/alerts/${encodeURIComponent(open[index + 1].id)}`}>${t("next")}</a>` : null}</nav>
  <main id="main" class="alert-grid" tabindex="-1">
    <header class="headline"><p class="kicker"><${Chip} state=${alert.state === "withdrawn" ? "withdrawn" : handling(alert)}>${alert.state === "withdrawn" ? t("withdrawn") : null}</${Chip}><${StageTag} alert=${alert}/>${first?.stage === "early" && confirmed ? html`<span class="tag early">${t("early-confirmed", { time: clock(alert.fired_at) })}</span>` : null}<span>${alert.topic_name} · ${place(alert.region)} · ${t("revision", { n: number(alert.revision) })}</span></p>
      <h1>${alert.sentence}</h1>${alert.course_text ? html`<p class="course">${alert.course_text}</p>` : null}<${Context} alert=${alert}/></header>
    <div class="act"><${Act} key=${alert.id} alert=${alert} session=${session} now=${now}/>
      <section class="panel" aria-labelledby="h-check"><header><h2 id="h-check">${t("what-to-check")}</h2></header><${Checks} hints=${alert.checks}/></section></div>
    <div class="body">
      <${Panel} id="weeks" title=${title} note=${t("eight-weeks-note", { span: span(shown), time: zoned(end) })} rows=${() => tableOf(points)}>${points.length > 1 ? html`<${Plot} points=${points} baseline=${baseline} marks=${marks} open=${alert.stage === "early"} label=${t("eight-weeks-label", { topic: alert.topic_name, place: place(alert.region), n: number(alert.observed), bound: number(alert.upperbound) })}/>` : eight ? html`<p class="quiet">${t("no-history")}</p>` : html`<${Waiting} height=${300}/>`}</${Panel}>
      ${length <= DAY ? html`<${Panel} id="hours" title=${t("hours-36")} note=${t("hours-36-note", { span: span(length) })} rows=${() => tableOf(zoom)}>${zoom.length > 1 ? html`<${Plot} points=${zoom} height=${170} stepped=${true} ticks="hour" fired=${fired} open=${alert.stage === "early"} label=${t("hours-36-label", { n: number(alert.observed), bound: number(alert.upperbound) })}/>` : hours ? html`<p class="quiet">${t("no-history")}</p>` : html`<${Waiting} height=${220}/>`}</${Panel}>` : null}
      <div class="pair wide-left">
        <${Panel} id="facts" title=${t("facts")} rows=${() => [[t("measure"), t("now-head"), t("usual"), t("meaning")], ...facts]} picture=${false}><div class="scroll" tabindex="0" role="region" aria-label=${t("table-of", { title: t("facts") })}><table class="facts"><thead><tr><th scope="col">${t("measure")}</th><th scope="col" class="n">${t("now-head")}</th><th scope="col" class="n">${t("usual")}</th><th scope="col">${t("meaning")}</th></tr></thead><tbody>${facts.map(([name, value, usual, means]) => html`<tr><th scope="row">${name}</th><td class="n">${value}</td><td class="n quiet">${usual}</td><td class="small quiet">${means}</td></tr>`)}</tbody></table></div></${Panel}>
        ${overlay ? null : html`<${Where} alert=${alert}/>`}
      </div>
      <${Neighbours} alert=${alert} near=${near} topics=${topics}/>
      <div class="pair">
        <${Panel} id="tags" title=${t("tags-beside")} note=${t("of-sampled", { n: number(alert.sampled) })} rows=${() => [["tag", "posts"], ...alert.tags.map((one) => [one.name, one.posts])]} picture=${false}>${alert.tags.length ? html`<${Bars} rows=${alert.tags.slice(0, 8).map((one) => ({ name: `#${one.name}`, posts: one.posts }))} of=${alert.sampled}/>` : html`<p class="quiet">${t("no-tags")}</p>`}<p class="note">${t("tags-note")}</p></${Panel}>
        <${Panel} id="voice" title=${t("languages-voice")} note=${t("of-sampled", { n: number(alert.sampled) })} rows=${() => [["what", "posts"], ...alert.langs.map((one) => [one.name, one.posts]), ["first-person", alert.first_person], ["news", alert.news]]} picture=${false}>${alert.sampled ? html`<${Bars} rows=${[...alert.langs.slice(0, 4).map((one) => ({ name: place(`lang:${one.name}`), posts: one.posts })), { name: t("first-person"), posts: alert.first_person }, { name: t("links-news"), posts: alert.news }]} of=${alert.sampled}/>` : html`<p class="quiet">${t("no-sample")}</p>`}${alert.link_domains.length ? html`<p class="note">${t("links-to")} ${alert.link_domains.slice(0, 4).map((one, at) => html`${at ? ", " : ""}<bdi>${one.name}</bdi> (${number(one.posts)})`)}</p>` : null}</${Panel}>
      </div>
      <${Earlier} alert=${alert}/>
      <details class="panel"><summary><b>${t("how-judged")}</b>${t("how-judged-more")}</summary>
        <p class="note">${t("judged", { method: alert.method, n: number(grounds.baseline?.length ?? 0), p: grounds.pvalue === null || grounds.pvalue === undefined ? "–" : grounds.pvalue.toPrecision(2), threshold: grounds.threshold === null || grounds.threshold === undefined ? "–" : grounds.threshold.toPrecision(2), recurrence: alert.recurrence ? number(alert.recurrence, 0) : "–" })}</p>
        <p class="note"><code>pumphandle alerts recompute <bdi>${alert.id}</bdi></code></p></details>
    </div>
    <div class="more"><${Clocks} alert=${alert} session=${session}/><${Log} alert=${alert} revisions=${data.revisions}/><${Official} alert=${alert}/></div>
  </main></div>`;
}
