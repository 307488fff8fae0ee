// The page: address, language, theme, who is signed in; and which page is drawn. State is in the address.

import { html, render, useEffect, useMemo, useRef, useState } from "/vendor/preact-htm.js";
import { AlertPage } from "/alert.js";
import { ask, listen, refresh, useAnswer } from "/ask.js";
import { Hatches } from "/draw.js";
import { Explorer, SeriesPage } from "/explorer.js";
import { Inbox } from "/inbox.js";
import { Below, SignIn, Sources, Topics } from "/lists.js";
import { Nothing } from "/parts.js";
import { Public } from "/public.js";
import { Subscriptions } from "/subscriptions.js";
import { clock, instant, know, language, LANGUAGES, load, n, number, percent, place, span, t } from "/words.js";

const root = document.documentElement;
const keep = (key, value) => { try { localStorage.setItem(key, value); } catch { /* then it holds until the page is left */ } };
const PAGES = [["/", "inbox"], ["/explorer", "explorer"], ["/topics", "topics"], ["/sources", "sources"], ["/subscriptions", "subscriptions"], ["/public", "public"]];

function where() {
  const parts = location.pathname.split("/").filter(Boolean);
  return { page: parts[0] ?? "inbox", id: parts[0] === "alerts" ? decodeURIComponent(parts[1] ?? "") : null, place: parts[0] === "public" && parts[1] ? decodeURIComponent(parts[1]).toUpperCase() : null, query: Object.fromEntries(new URLSearchParams(location.search)), path: location.pathname };
}

const isDark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function Beat({ status, lost }) {
  if (lost) return html`<section class="beat lost" role="alert"><span><b>${t("lost")}</b> ${t("lost-why")}</span></section>`;
  if (!status) return html`<section class="beat" aria-label=${t("heartbeat")}><span>${t("waiting")}</span></section>`;
  const least = status.feeds.reduce((worst, feed) => (!worst || feed.share < worst.share ? feed : worst), null);
  const quiet = status.feeds.filter((feed) => feed.share < 0.8);
  return html`<section class="beat" aria-label=${t("heartbeat")}>
    ${least ? html`<span><i class=${quiet.length ? "pulse out" : "pulse"} aria-hidden="true"></i><b>${t("seen-share", { share: percent(least.share) })}</b> ${t("in-last", { span: span(least.pane_seconds), n: n("feeds", status.feeds.length) })}${quiet.length ? `, ${t("feed-silent", { feeds: quiet.map((feed) => feed.feed).join(", ") })}` : ""}</span>` : html`<span><b>${t("no-feeds")}</b></span>`}
    <span>${t("judging", { topics: number(status.topics), series: number(status.series) })}${status.learning ? `, ${t("still-learning")}` : ""}</span>
    ${status.degraded.length ? html`<span class="degraded"><b>${t("degraded")}</b> ${status.degraded.map((reason) => `${t(`condition-${reason.what}`)}${reason.subject ? ` (${reason.subject})` : ""}`).join(", ")}</span>` : null}
    ${status.judged_until ? html`<span>${t("judged-to")} <b>${instant(status.judged_until)}</b>${status.latest ? `, ${t("newest", { time: clock(status.latest) })}` : ""}</span>` : null}
  </section>`;
}

function Help({ open, close, single, setSingle }) {
  const box = useRef(null);
  useEffect(() => { if (open && !box.current.open) box.current.showModal(); }, [open]);
  const pairs = [["j k", "key-move"], ["Enter o", "key-open"], ["a", "key-acknowledge"], ["v", "key-verify"], ["d", "key-decide"], ["u", "key-undo"], ["/", "key-filter"], ["t", "key-theme"]];
  return html`<dialog ref=${box} aria-labelledby="h-keys" onClose=${close}><h2 id="h-keys">${t("keys")}</h2><dl>${pairs.map(([keys, words]) => html`<dt>${keys.split(" ").map((key) => html`<kbd>${key}</kbd> `)}</dt><dd>${t(words)}</dd>`)}</dl>
    <p><label><input type="checkbox" checked=${single} onChange=${(event) => setSingle(event.target.checked)}/> ${t("single-keys")}</label></p><form method="dialog"><button class="btn">${t("close")}</button></form></dialog>`;
}

/** What the server said before any script ran, in the reader's language. */
function translate() {
  const banner = document.querySelector("aside.banner");
  if (!banner) return;
  banner.textContent = t("foot-simulated");
  banner.setAttribute("aria-label", t("simulated"));
  banner.removeAttribute("lang");
}

function Page() {
  const [route, setRoute] = useState(where());
  const [session, setSession] = useState(null);
  const [, redraw] = useState(0);
  const [help, setHelp] = useState(false);
  const [single, setSingle] = useState(true);
  const keys = useRef({});
  const go = (to, replaced) => {
    if (replaced) history.replaceState(null, "", to);
    else {
      history.pushState(null, "", to);
      scrollTo(0, 0);
      requestAnimationFrame(() => document.getElementById("main")?.focus({ preventScroll: true }));
    }
    setRoute(where());
  };
  const flip = () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    keep("theme", root.dataset.theme);
    redraw((count) => count + 1);
  };
  useEffect(() => {
    ask("/api/v1/session").then(setSession, () => setSession({ role: "public", name: "", acts: false, lost: true }));
    const back = () => setRoute(where());
    const click = (event) => {
      const link = event.target.closest?.("a[href^='/']");
      if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || link.download || link.getAttribute("href").startsWith("/api/")) return;
      event.preventDefault();
      go(link.getAttribute("href"));
    };
    addEventListener("popstate", back);
    document.addEventListener("click", click);
    return () => {
      removeEventListener("popstate", back);
      document.removeEventListener("click", click);
    };
  }, []);
  useEffect(() => {
    const press = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !single || event.target.closest("input, select, textarea, dialog, svg")) return;
      const does = { t: flip, "?": () => setHelp(true), ...keys.current }[event.key];
      if (!does) return;
      event.preventDefault();
      does();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  });
  const inside = session && session.role !== "public";
  useEffect(() => { if (inside) listen(); }, [inside]);
  const state = useAnswer(inside ? "/api/v1/status" : null);
  const status = state.data;
  const regions = useAnswer(inside ? `/api/v1/regions?language=${language()}` : null).data;
  useMemo(() => regions && know(regions.regions), [regions]);
  if (!session) return html`<p class="waiting">${t("waiting")}</p>`;
  const isPublic = route.page === "public";
  const page = !inside && !isPublic ? "sign-in" : route.page;
  const speak = async (code) => {
    keep("language", code);
    await load(code);
    translate();
    redraw((count) => count + 1);
    refresh();
  };
  const shared = { session, status, route, go, keys, setHelp };
  const signed = (who, out) => {
    setSession(who);
    go(out ? "/sign-in" : "/");
  };
  const body = { inbox: Inbox, explorer: Explorer, series: SeriesPage, topics: Topics, sources: Sources, below: Below, subscriptions: Subscriptions, public: Public }[page];
  return html`<a class="skip" href="#main">${t("skip")}</a>
  <header class="top"><a class="brand" href=${inside ? "/" : "/public"}><svg width="20" height="20" viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="1.9" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M3 18h10M5 18V7.5a3 3 0 0 1 6 0V18M11 9.5h2.5v2.5M8 4.5V3l9-1.2V8"/></svg>pumphandle</a>
    <nav class="nav" aria-label=${t("main")}><ul>${PAGES.filter(([, name]) => (name === "subscriptions" ? ["official", "operator"].includes(session.role) : inside || name === "public")).map(([path, name]) => html`<li><a href=${path} aria-current=${page === name || (name === "inbox" && page === "alerts") || (name === "explorer" && page === "series") ? "page" : null}>${t(name)}</a></li>`)}</ul></nav>
    <div class="tools">${session.simulated ? html`<span class="sim">${t("simulated")}</span>` : null}
      <label class="tongue"><span class="unseen">${t("language")}</span><select onChange=${(event) => speak(event.target.value)}>${Object.entries(LANGUAGES).map(([code, name]) => html`<option value=${code} lang=${code} selected=${code === language()}>${name}</option>`)}</select></label>
      <button class="btn icon" type="button" aria-label=${t(isDark() ? "to-light" : "to-dark")} onClick=${flip}><svg width="16" height="16" aria-hidden="true"><circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" stroke-width="1.4"/><path d="M8 1.8a6.2 6.2 0 0 1 0 12.4Z" fill="currentColor"/></svg></button>
      <a class="who" href="/sign-in">${inside ? html`<b><bdi>${session.name || t("not-signed-in")}</bdi></b>${session.name ? t(`role-${session.role}`) : t("open-as", { role: t(`role-${session.role}`) })}` : html`<b>${t("sign-in")}</b>`}</a></div></header>
  ${inside && !isPublic ? html`<${Beat} status=${status} lost=${Boolean(state.error) && !state.error.status}/>` : null}
  <${Hatches}/>
  ${page === "alerts" ? html`<${AlertPage} key=${route.id} id=${route.id} ...${shared}/>` : page === "sign-in" ? html`<${SignIn} session=${session} signed=${signed}/>` : body ? html`<${body} ...${shared}/>` : html`<div class="wrap"><main id="main" tabindex="-1"><h1 class="plain-head">${t("no-page")}</h1><${Nothing} title=${t("no-page-why")}/></main></div>`}
  <footer class=${isPublic ? "foot plainfoot" : "foot"}><span>${t("foot")}</span>${session.simulated ? html`<span>${t("foot-simulated")}</span>` : null}<span>pumphandle ${session.version ?? ""}, Apache-2.0</span><span>${t("foot-places")}</span></footer>
  <${Help} open=${help} close=${() => setHelp(false)} single=${single} setSingle=${setSingle}/>`;
}

await load(language());
translate();
const target = document.getElementById("page");
target.replaceChildren();
render(html`<${Page}/>`, target);
