// What everybody may see: published days only, in plain words, per country and first level.

import { html, useEffect, useMemo } from "/vendor/preact-htm.js";
import { query, useAnswer } from "/ask.js";
import { Map } from "/map.js";
import { Failed, Nothing, Waiting } from "/parts.js";
import { day, n, number, place, t, utcDay, whole } from "/words.js";

/** The words of the rule that published the day. */
const KINDS = ["more", "much-more", "usual", "less", "few"];
/** So many days without a number, and so many accounts now, are more than usual. */
const RARE_DAYS = 14;
const RARE_ACCOUNTS = 25;
const CLASS = { less: "c0", usual: "c1", more: "c2", "much-more": "c3", few: "cx" };

const Mark = ({ word }) => html`<svg width="14" height="14" aria-hidden="true">${word === "less" ? html`<path class="mark-low" d="M7 12.5 1 2h12Z"/>` : word === "usual" ? html`<circle cx="7" cy="7" r="5" class="mark-ring"/>` : word === "few" ? html`<rect x="1.5" y="1.5" width="11" height="11" class="cx mark-box"/>` : html`<path class="mark-up" d="M7 1.5 13 12H1Z"/>`}</svg>`;

/** A day of a topic at a place against the median of the published days before it. */
export function wordOf(days, at) {
  const accounts = days[at]?.accounts;
  if (accounts === null || accounts === undefined) return { word: "few", usual: null };
  const past = days.slice(Math.max(0, at - 28), Math.max(0, at - 1)).map((one) => one.accounts);
  const before = past.filter((one) => one !== null && one !== undefined).sort((one, other) => one - other);
  // Where most days had too few to be shown, a number well above the least is more than usual.
  if (before.length < 7) return { word: past.length - before.length >= RARE_DAYS && accounts >= RARE_ACCOUNTS ? "more" : "few", usual: null, accounts };
  const usual = before[Math.floor(before.length / 2)];
  const ratio = accounts / Math.max(usual, 5);
  const step = Math.abs(accounts - usual) > 10;
  return { word: ratio >= 2 && step ? "much-more" : ratio >= 1.3 && step ? "more" : ratio <= 0.7 && step ? "less" : "usual", usual, accounts };
}

function Strip14({ days, at }) {
  const shown = Array.from({ length: 14 }, (_, index) => at - 13 + index);
  const words = shown.map((index) => (index < 0 ? "few" : wordOf(days, index).word));
  return html`<svg class="strip14" role="img" aria-label=${t("strip-14", { n: number(words.filter((word) => word.endsWith("more")).length) })}>${words.map((word, index) => html`<rect class=${CLASS[word]} x=${`${(index * 100) / 14}%`} width="6.2%" height="22" rx="2"/>`)}</svg>`;
}

const about = (accounts) => (accounts === null || accounts === undefined ? html`<span class="quiet">${t("not-shown")}</span>` : t("about", { n: number(accounts) }));

export function Public({ route, go }) {
  const code = route.place ?? "001";
  const { data, error } = useAnswer(`/api/v1/public?${query({ region: code })}`);
  const at = (data?.days.length ?? 0) - 1;
  const date = data?.days[at];
  useEffect(() => { document.title = `${place(code)} · ${t("public")} · pumphandle`; }, [code]);
  const topics = useMemo(() => (data?.topics ?? []).map((topic) => ({ ...topic, days: topic.accounts.map((accounts) => ({ accounts })) })), [data]);
  const now = topics.map((topic) => ({ ...topic, ...wordOf(topic.days, at) })).sort((one, other) => KINDS.indexOf(one.word === "much-more" ? "more" : one.word) - KINDS.indexOf(other.word === "much-more" ? "more" : other.word) || (other.accounts ?? 0) - (one.accounts ?? 0));
  const up = now.filter((topic) => topic.word.endsWith("more"));
  const shown = up[0] ?? now.find((topic) => topic.word !== "few") ?? now[0];
  const parts = useAnswer(data && shown ? `/api/v1/public?${query({ topic: shown.topic, under: code })}` : null).data;
  const places = useMemo(() => (parts?.places ?? []).map((one) => ({ ...one, ...wordOf(one.accounts.map((accounts) => ({ accounts })), (parts?.days.length ?? 0) - 1) })).sort((one, other) => place(one.region).localeCompare(place(other.region))), [parts]);
  const cells = Object.fromEntries(places.map((one) => [one.region, { answer: one.word === "few" ? "none" : "calm", observed: one.accounts ?? 0, expected: one.usual ?? 0, plain: CLASS[one.word] }]));
  const title = !data || !date ? t("public") : now.every((topic) => topic.word === "few") ? t("public-nothing", { place: place(code) }) : up.length === 0 ? t("public-usual") : up.length === 1 ? t("public-one", { topic: up[0].name }) : t("public-many", { topics: up.slice(0, 3).map((topic) => topic.name).join(", ") });
  const choose = (event) => go(event.target.value === "001" ? "/public" : `/public/${event.target.value}`);
  return html`<main id="main" class="plain" tabindex="-1">
    <header><p class="when"><label>${t("place")} <select onChange=${choose}>${[...new Set(["001", code, ...(data?.countries ?? [])])].map((one) => html`<option value=${one} selected=${one === code}>${place(one)}</option>`)}</select></label>${date ? ` · ${t("latest-day", { day: whole(date) })}` : ""}</p>
      <h1>${title}</h1>${shown && date && shown.word !== "few" ? html`<p class="intro">${t(shown.usual === null ? "public-intro-rare" : "public-intro", { n: number(shown.accounts), place: place(code), topic: shown.name, day: utcDay(date), usual: number(shown.usual) })}</p>` : null}</header>
    <p class="callout"><b>${t("public-posts")}</b> ${t("public-posts-more")}</p>
    <${Failed} error=${error}/>
    ${!data && !error ? html`<${Waiting} height=${260}/>` : null}
    ${data && !date ? html`<${Nothing} title=${t("no-day")}>${t("no-day-why")}</${Nothing}>` : null}
    ${date && !now.length ? html`<p class="intro">${t("public-nothing-why")}</p>` : null}
    ${date && now.length ? html`<section aria-labelledby="h-all"><h2 id="h-all">${t("all-topics-head")}</h2><table><thead><tr><th scope="col">${t("topic")}</th><th scope="col">${t("on-day", { day: utcDay(date) })}</th><th scope="col">${t("last-14")}</th><th scope="col" class="n opt">${t("accounts-head")}</th><th scope="col" class="n opt">${t("usual")}</th></tr></thead><tbody>
      ${now.map((topic) => html`<tr><th scope="row">${topic.name}</th><td class="word"><${Mark} word=${topic.word}/> ${topic.word.endsWith("more") ? html`<b>${t(`public-${topic.word}`)}</b>` : t(`public-${topic.word}`)}</td><td><${Strip14} days=${topic.days} at=${at}/></td><td class="n opt">${about(topic.accounts)}</td><td class="n opt quiet">${about(topic.usual)}</td></tr>`)}</tbody></table>
      <ul class="legend" aria-label=${t("legend")}>${["less", "usual", "more", "much-more", "few"].map((word) => html`<li><svg width="14" height="12" aria-hidden="true"><rect class=${CLASS[word]} width="14" height="12"/></svg>${t(`public-${word}`)}</li>`)}</ul></section>` : null}
    ${shown && places.length ? html`<section aria-labelledby="h-parts"><h2 id="h-parts">${t("place-by-place", { topic: shown.name })}</h2><div class="cols"><div><${Map} view=${code === "001" ? "001" : code} cells=${cells} label=${t("public-map")} width=${300} height=${code === "001" ? 170 : 380}/></div>
      <table><thead><tr><th scope="col">${t("place")}</th><th scope="col">${t("on-day", { day: utcDay(date) })}</th><th scope="col" class="n">${t("accounts-head")}</th></tr></thead><tbody>${places.map((one) => html`<tr><th scope="row">${place(one.region)}</th><td class="word"><${Mark} word=${one.word}/> ${t(`public-${one.word}`)}</td><td class="n">${about(one.accounts)}</td></tr>`)}</tbody></table></div></section>` : null}
    <p class="note">${t("public-rule")}</p>
    <section aria-labelledby="h-q"><h2 id="h-q">${t("questions")}</h2><div class="qa">${["counted", "outbreak", "me", "today", "complete", "use"].map((one) => html`<div><h3>${t(`q-${one}`)}</h3><p>${t(`a-${one}`)}${one === "use" ? html` <a href=${`/api/v1/public?${query({ region: code })}`}>JSON</a>` : null}</p></div>`)}</div></section>
  </main>`;
}
