// The inbox: ranked by rarity, the selected alert beside the list, everything by keyboard.

import { html, useEffect, useLayoutEffect, useMemo, useState } from "/vendor/preact-htm.js";
import { ask, query, refresh, useAnswer } from "/ask.js";
import { Spark } from "/draw.js";
import { Chip, Failed, Nothing, Waiting, say as speak } from "/parts.js";
import { capital, clock, day, lasted, moment, n, number, percent, place, range, span, t, times, zone } from "/words.js";

/** How rare an alert has to be, where somebody chooses. */
export const rarities = () => [["", t("any-rarity")], ...["month", "quarter", "year"].map((name) => [name, t(`once-a-${name}`)])];
const KINDS = ["all", "open", "snoozed", "decided"];

// ---------- what people have done ----------

export const last = (alert) => alert.events.at(-1);
export const handling = (alert) => last(alert)?.state ?? "new";
export const isSnoozed = (alert, now) => {
  const until = last(alert)?.snooze_until;
  return Boolean(until) && now < until && !alert.woken;
};

export function group(alert, now) {
  if (alert.state === "withdrawn") return "withdrawn";
  if (["decided", "closed"].includes(handling(alert))) return "decided";
  if (isSnoozed(alert, now)) return "snoozed";
  return alert.state !== "open" && handling(alert) === "new" ? "unseen" : "open";
}

/** Whether somebody still has to say something about it: also about one that ended before anybody looked. */
export const isQueued = (alert, now) => ["open", "unseen"].includes(group(alert, now));

/** Changes an alert as it was seen; a change that somebody else made meanwhile is said, not overwritten. */
export async function act(alert, change) {
  try {
    await ask(`/api/v1/alerts/${encodeURIComponent(alert.id)}/changes`, { method: "POST", body: JSON.stringify({ after: alert.events.length, ...change }) });
    speak(t("done", { state: t(`state-${change.state ?? handling(alert)}`) }));
    return null;
  } catch (error) {
    const words = error.status === 409 ? t("stale") : error.status ? error.message : t("lost-why");
    speak(words);
    return words;
  } finally {
    refresh();
  }
}

/** Who changed something: by name, or that nobody had signed in. */
export const signed = (actor) => (actor === "not signed in" ? t("not-signed-in") : actor);

/** Takes the last change back; nothing where there is none. */
export const undo = (alert) => (alert.events.length ? act(alert, { undo: true }) : null);
const canUndo = (alert) => (last(alert)?.changed.length ?? 0) > 0;
export const Undo = ({ alert, does }) => (canUndo(alert) ? html`<button class="btn low" type="button" data-act="undo" onClick=${() => does(() => undo(alert))}>${t("undo")} <kbd>u</kbd></button>` : null);

export const acknowledge = (alert, session) => act(alert, session.name ? { state: "triaged", assignee: session.name } : { state: "triaged" });

/** Points of a small trend. */
export const trendOf = (alert) => (alert.trend ?? []).map((point) => ({ end: point.end, observed: point.observed, expected: point.expected, bound: point.upperbound, low: point.low, high: point.high }));

export function StageTag({ alert }) {
  if (alert.state === "withdrawn") return null;
  if (alert.state === "closed") return html`<span class="tag">${t(handling(alert) === "new" ? "ended-unseen" : "over")}</span>`;
  if (alert.stage === "early") return html`<span class="tag early">${t(alert.state === "open" ? "early-closes" : "early", { time: clock(alert.window_end) })}</span>`;
  return null;
}

const Rare = ({ alert }) => (alert.rarity ? html`<b>${capital(alert.rarity)}</b> ${t("by-chance")}` : html`<span>${t("rarity-unknown")}</span>`);

/** Places in alarm too, neither the alert's own nor around it. */
function Others({ alert }) {
  const others = alert.regions.filter((code) => code !== alert.region && code !== "001" && !code.startsWith("lang:") && !alert.region.startsWith(`${code}-`));
  return others.length ? html`<span class="tag">${t("up-too", { place: place(others[0]) })}${others.length > 1 ? ` +${number(others.length - 1)}` : ""}</span>` : null;
}

// ---------- rows ----------

/** The handler is `onfocusin`: Preact keeps the case of names that are no property of an element. */
function Row({ alert, on, choose, now }) {
  const event = last(alert);
  return html`<li class=${on ? "row on" : "row"} data-id=${alert.id} onfocusin=${() => !on && choose(alert.id)}>
    <p class="rare"><${Rare} alert=${alert}/></p>
    <div class="what"><div class="name"><h3><a href=${`/alerts/${encodeURIComponent(alert.id)}`} aria-current=${on ? "true" : null}>${alert.topic_name} · ${place(alert.region)}</a></h3><${StageTag} alert=${alert}/>${alert.doubt ? html`<span class="tag" title=${alert.doubt}>${t(alert.grounds?.suspect?.length ? "doubtful" : "provisional")}</span>` : null}<${Others} alert=${alert}/></div><p class="say">${alert.sentence}</p>${alert.course_text ? html`<p class="say course">${alert.course_text}</p>` : null}</div>
    <div class="trend">${alert.trend?.length > 1 ? html`<${Spark} points=${trendOf(alert)} label=${t("trend", { now: number(alert.observed), bound: number(alert.upperbound) })}/>` : null}</div>
    <p class="state"><${Chip} state=${handling(alert)}/><span>${event?.assignee || (event ? signed(event.actor) : t("nobody-yet"))}</span><span>${t("fired-at", { time: moment(alert.fired_at) })}</span></p>
  </li>`;
}

function Done({ alert, now }) {
  const event = last(alert);
  const kind = group(alert, now);
  const [state, words] = kind === "snoozed" ? ["snoozed", t("snoozed-to", { day: day(event.snooze_until) })] : kind === "decided" ? ["decided", event.outcome ? t(`outcome-${event.outcome}`) : t(`state-${event.state}`)] : ["withdrawn", t("withdrawn")];
  const more = kind === "snoozed" ? t("comes-back", { day: day(event.snooze_until) }) : kind === "decided" ? event.note : t("withdrawn-why", { time: moment(alert.fired_at) });
  return html`<li class="row done"><p class="rare">${alert.rarity ? capital(alert.rarity) : t("rarity-unknown")}</p><div class="what"><h3><a href=${`/alerts/${encodeURIComponent(alert.id)}`}>${alert.topic_name} · ${place(alert.region)}</a></h3> <p class="say">${alert.sentence} <bdi>${more}</bdi></p></div><p class="state"><${Chip} state=${state}>${words}</${Chip}><span>${event?.assignee || (event ? signed(event.actor) : "")}</span><span>${moment(event?.at ?? alert.fired_at)}</span></p></li>`;
}

// ---------- the selected alert ----------

export const Checks = ({ hints }) => html`<ol class="check">${hints.map((hint) => html`<li><span><bdi>${hint}</bdi></span></li>`)}</ol>`;

/** The context of an alert, and why it is doubtful. */
export const Context = ({ alert }) => html`<p class="rest">${alert.rest}${alert.doubt ? html` <strong>${alert.doubt}</strong>` : null}</p>`;

function Peek({ alert, session, failed, setFailed, now }) {
  const points = trendOf(alert);
  const event = last(alert);
  const does = async (make) => setFailed(await make());
  return html`<article>
    <div><p class="kicker"><${Chip} state=${handling(alert)}/><${StageTag} alert=${alert}/><${Others} alert=${alert}/></p>
    <h2>${alert.sentence}</h2>${alert.course_text ? html`<p class="course">${alert.course_text}</p>` : null}<${Context} alert=${alert}/></div>
    <p class="acts">${session.acts && handling(alert) === "new" ? html`<button class="btn main" type="button" data-act="acknowledge" onClick=${() => does(() => acknowledge(alert, session))}>${t("acknowledge")} <kbd>a</kbd></button>` : null}
      ${session.acts && ["new", "triaged"].includes(handling(alert)) ? html`<button class="btn" type="button" onClick=${() => does(() => act(alert, { state: "verifying" }))}>${t("verify")} <kbd>v</kbd></button>` : null}
      ${session.acts && !isSnoozed(alert, now) ? html`<button class="btn" type="button" onClick=${() => does(() => act(alert, { snooze_until: Math.round(now + 3 * 86400) }))}>${t("snooze-3")}</button>` : null}
      ${session.acts ? html`<${Undo} alert=${alert} does=${does}/>` : null}
      <a class="btn" href=${`/alerts/${encodeURIComponent(alert.id)}`}>${t("open")}</a></p>
    ${failed ? html`<p class="small hot" role="alert">${failed}</p>` : null}
    <p class="small quiet">${event ? t("with-since", { who: event.assignee || signed(event.actor), time: moment(event.at) }) : t("nobody-has-it")}</p>
    ${points.length > 1 ? html`<div><h3>${t("accounts-in-windows", { span: span(alert.window_seconds), n: number(points.length) })}</h3>
      <${Spark} points=${points} height=${128} label=${t("trend", { now: number(alert.observed), bound: number(alert.upperbound) })}/>
      <p class="ends"><span>${day(points[0].end)}</span><span>${t("bound-n", { n: number(alert.upperbound) })}, ${t("expected-n", { n: number(alert.expected) })} ${range(alert.grounds?.expected_low, alert.grounds?.expected_high)}</span><span>${day(points.at(-1).end)}</span></p></div>` : null}
    <dl class="facts-6"><div><dt>${t("ratio")}</dt><dd>${times(alert.ratio)}</dd></div>
      <div><dt>${t("first-person")}</dt><dd>${alert.sampled ? html`${number(alert.first_person)} <small>${t("of", { n: number(alert.sampled) })}</small>` : "–"}</dd></div>
      <div><dt>${t("near-copies")}</dt><dd>${alert.sampled ? html`${number(alert.near_copies)} <small>${t("of", { n: number(alert.sampled) })}</small>` : "–"}</dd></div>
      <div><dt>${t("per-million")}</dt><dd>${alert.population ? number((alert.posts * 1e6) / alert.population) : "–"}</dd></div>
      <div><dt>${t("coverage")}</dt><dd>${percent(alert.coverage)}</dd></div>
      <div><dt>${t("links-news")}</dt><dd>${alert.sampled ? html`${number(alert.news)} <small>${t("of", { n: number(alert.sampled) })}</small>` : "–"}</dd></div></dl>
    <div><h3>${t("what-to-check")}</h3><${Checks} hints=${alert.checks}/></div>
  </article>`;
}

// ---------- the page ----------

export function Record({ figures }) {
  if (!figures) return null;
  if (!figures.events) return html`${n("record-few", figures.decided)} ${figures.acknowledge ? t("record-time", { time: lasted(figures.acknowledge.median_seconds) }) : ""}`;
  const { events, real_rises: rises } = figures;
  return html`${t("record", { n: number(figures.decided), events: number(events.of), share: percent(events.share), low: number(events.low * 100, 0), high: number(events.high * 100, 0), rises: number(rises.of) })} ${figures.acknowledge ? t("record-time", { time: lasted(figures.acknowledge.median_seconds) }) : ""}`;
}

export function Inbox({ session, status, route, go, keys, setHelp }) {
  const { data, error } = useAnswer(`/api/v1/alerts?${query({ limit: 200, order: "rarity", zone })}`);
  const figures = useAnswer("/api/v1/figures").data;
  const below = useAnswer("/api/v1/below").data;
  const [failed, setFailed] = useState(null);
  const now = status?.latest ?? Date.now() / 1000;
  const { show = "all", topic = "", region = "", rarer = "", at = "" } = route.query;
  const change = (parts) => go(`/?${query({ ...route.query, ...parts })}`, true);
  const all = data?.alerts ?? [];
  const shown = useMemo(() => all.filter((alert) => (!topic || alert.topic === topic) && (!region || alert.regions.includes(region) || alert.region === region) && (!rarer || alert.rarer_than.includes(rarer))), [data, topic, region, rarer]);
  const of = (kind) => shown.filter((alert) => group(alert, now) === kind);
  const open = shown.filter((alert) => isQueued(alert, now));
  const done = [...of("snoozed"), ...of("decided"), ...of("withdrawn")];
  const listed = show === "all" || show === "open" ? open : [];
  const DONE_MAX = 10;
  const listedDone = show === "all" ? done.slice(0, DONE_MAX) : show === "snoozed" ? of("snoozed") : show === "decided" ? [...of("decided"), ...of("withdrawn")] : [];
  const selected = listed.find((alert) => alert.id === at) ?? listed[0] ?? null;
  const choose = (id) => change({ at: id });
  useEffect(() => { document.title = `${open.length ? `(${open.length}) ` : ""}${t("inbox")} · pumphandle`; }, [open.length]);
  // Before anybody sees the rows: a key that is pressed at once must not be lost.
  useLayoutEffect(() => {
    const step = (by) => {
      const index = listed.findIndex((alert) => alert.id === selected?.id);
      const next = listed[Math.max(0, Math.min(listed.length - 1, index + by))];
      if (next) {
        choose(next.id);
        requestAnimationFrame(() => document.querySelector(`[data-id="${CSS.escape(next.id)}"] a`)?.focus());
      }
    };
    // The row that has the focus, also before it is drawn as the selected one.
    const current = () => listed.find((alert) => alert.id === document.activeElement?.closest("[data-id]")?.dataset.id) ?? selected;
    const does = (may, make) => () => {
      const alert = current();
      return alert && session.acts && may(alert) && make(alert).then(setFailed);
    };
    keys.current = {
      j: () => step(1),
      k: () => step(-1),
      a: does((alert) => handling(alert) === "new", (alert) => acknowledge(alert, session)),
      v: does((alert) => ["new", "triaged"].includes(handling(alert)), (alert) => act(alert, { state: "verifying" })),
      u: does(canUndo, undo),
      o: () => current() && go(`/alerts/${encodeURIComponent(current().id)}`),
      "/": () => document.querySelector(".filters select")?.focus(),
    };
    return () => { keys.current = {}; };
  });
  const count = { all: shown.length, open: open.length, snoozed: of("snoozed").length, decided: of("decided").length + of("withdrawn").length };
  const topics = [...new Map(all.map((alert) => [alert.topic, alert.topic_name]))];
  const regions = [...new Set(all.map((alert) => alert.region))].sort((one, other) => place(one).localeCompare(place(other)));
  return html`<div class="inbox"><main id="main" class="list" tabindex="-1">
    <h1>${t("inbox")}</h1> <p class="lede">${n("lede", of("open").length)} ${of("unseen").length ? n("lede-unseen", of("unseen").length) : ""} ${status?.false_episodes_a_week ? t("lede-budget", { n: number(status.false_episodes_a_week) }) : ""} ${below?.windows.length ? html`<a href="/below">${n("fell-below", below.windows.length)}</a>` : null}</p>
    <div class="filters" role="group" aria-label=${t("filters")}>
      <div class="seg" role="group" aria-label=${t("state")}>${KINDS.map((kind) => html`<button type="button" aria-pressed=${show === kind} onClick=${() => change({ show: kind, at: "" })}>${t(`show-${kind}`)} ${number(count[kind])}</button>`)}</div>
      <label class="field"><span>${t("topic")}</span><select value=${topic} onChange=${(event) => change({ topic: event.target.value, at: "" })}><option value="">${t("all-topics")}</option>${topics.map(([id, name]) => html`<option value=${id} selected=${id === topic}>${name}</option>`)}</select></label>
      <label class="field"><span>${t("region")}</span><select value=${region} onChange=${(event) => change({ region: event.target.value, at: "" })}><option value="">${t("all-regions")}</option>${regions.map((code) => html`<option value=${code} selected=${code === region}>${place(code)}</option>`)}</select></label>
      <label class="field"><span>${t("rarer-than")}</span><select value=${rarer} onChange=${(event) => change({ rarer: event.target.value, at: "" })}>${rarities().map(([name, phrase]) => html`<option value=${name} selected=${name === rarer}>${phrase}</option>`)}</select></label>
    </div>
    <${Failed} error=${error}/>
    ${!data && !error ? html`<${Waiting} height=${260}/>` : null}
    ${data && listed.length ? html`<h2 class="unseen">${t("open-ranked")}</h2><ol class="rows" id="open">${listed.map((alert) => html`<${Row} key=${alert.id} alert=${alert} on=${alert.id === selected?.id} choose=${choose} now=${now}/>`)}</ol>` : null}
    ${data && !listed.length && !listedDone.length ? html`<${Quiet} status=${status} filtered=${all.length > 0}/>` : null}
    ${data && !listed.length && listedDone.length && show !== "snoozed" && show !== "decided" ? html`<${Quiet} status=${status}/>` : null}
    ${listedDone.length ? html`<h2 class="after">${t("snoozed-and-decided")}</h2><ol class="rows" id="done">${listedDone.map((alert) => html`<${Done} key=${alert.id} alert=${alert} now=${now}/>`)}</ol>` : null}
    ${show === "all" && done.length > DONE_MAX ? html`<p class="note"><a href="/?show=decided">${t("done-more", { n: number(done.length) })}</a></p>` : null}
    <p class="note"><${Record} figures=${figures}/> ${below?.windows.length ? html`${t("below-line")} ${below.windows.slice(0, 4).map((one) => `${one.topic_name} ${place(one.region)}`).join(", ")}.` : null}</p>
    <p class="keys"><span><kbd>j</kbd><kbd>k</kbd> ${t("key-move")}</span><span><kbd>Enter</kbd> ${t("key-open")}</span><span><kbd>a</kbd> ${t("key-acknowledge")}</span><span><kbd>v</kbd> ${t("key-verify")}</span><span><kbd>u</kbd> ${t("key-undo")}</span><span><kbd>/</kbd> ${t("key-filter")}</span><span><kbd>t</kbd> ${t("key-theme")}</span><button class="btn bare" type="button" onClick=${() => setHelp(true)}><kbd>?</kbd> ${t("key-all")}</button></p>
  </main>
  <aside class="peek" aria-label=${t("selected")}>${selected ? html`<${Peek} alert=${selected} session=${session} failed=${failed} setFailed=${setFailed} now=${now}/>` : html`<p class="quiet">${t("none-selected")}</p>`}</aside></div>`;
}

/** Nothing to do, and why: nothing yet, still learning, nothing of this filter, or simply nothing. */
function Quiet({ status, filtered }) {
  if (!status) return null;
  if (filtered) return html`<${Nothing} title=${t("nothing-filtered")}>${t("nothing-filtered-why")}</${Nothing}>`;
  if (status.latest === null) return html`<${Nothing} title=${t("nothing-yet")}>${t("nothing-yet-why")}</${Nothing}>`;
  if (status.learning) return html`<${Nothing} title=${t("learning")}>${t("learning-why", { n: number(status.history_seconds / 86400, 0), of: number(status.history_needed_seconds / 86400, 0) })}</${Nothing}>`;
  return html`<${Nothing} title=${t("nothing-open")}>${t("nothing-open-why")}</${Nothing}>`;
}
