// Topics, sources, what fell below the line, and signing in.

import { html, useEffect, useState } from "/vendor/preact-htm.js";
import { ask, query, useAnswer } from "/ask.js";
import { Strip } from "/draw.js";
import { Failed, Nothing, Panel, Waiting } from "/parts.js";
import { moment, n, number, percent, place, range, span, t } from "/words.js";

function useTitle(title) {
  useEffect(() => { document.title = `${title} · pumphandle`; }, [title]);
}

export function Topics({ status }) {
  const { data, error } = useAnswer("/api/v1/topics");
  useTitle(t("topics"));
  const topics = [...(data?.topics ?? [])].sort((one, other) => other.open_alerts - one.open_alerts || (other.newest !== null) - (one.newest !== null) || one.name.localeCompare(other.name));
  const rows = () => [["topic", "name", "kind", "pane_seconds", "regions", "first", "newest", "open_alerts", "floor"], ...topics.map((one) => [one.topic, one.name, one.kind, one.pane_seconds, one.regions.length, one.first, one.newest, one.open_alerts, one.floor])];
  return html`<div class="wrap"><main id="main" tabindex="-1"><h1 class="plain-head">${t("topics")}</h1><p class="lede-p">${t("topics-lede")}</p><${Failed} error=${error}/>
    ${data ? topics.length ? html`<${Panel} id="topics" title=${n("n-topics", topics.length)} rows=${rows} picture=${false}><div class="scroll" tabindex="0" role="region" aria-label=${t("table-of", { title: t("topics") })}><table><thead><tr><th scope="col">${t("topic")}</th><th scope="col">${t("kind")}</th><th scope="col">${t("counted-in")}</th><th scope="col" class="n">${t("places")}</th><th scope="col">${t("newest-post")}</th><th scope="col" class="n">${t("open-alerts")}</th><th scope="col">${t("shown-from")}</th></tr></thead><tbody>
    ${topics.map((one) => html`<tr><th scope="row"><a href=${`/explorer?${query({ topic: one.topic })}`}>${one.name}</a></th><td>${one.kind ? t(`kind-${one.kind}`) : "–"}</td><td>${t("panes-of", { span: span(one.pane_seconds) })}</td><td class="n">${number(one.regions.length)}</td><td class="nb">${one.newest ? moment(one.newest) : html`<span class="quiet">${t("no-post")}</span>`}</td><td class="n">${one.open_alerts ? html`<a class="hot" href=${`/?${query({ topic: one.topic })}`}>${number(one.open_alerts)}</a>` : "0"}</td><td class="quiet">${one.floor ? n("accounts", one.floor) : t("every-number")}</td></tr>`)}</tbody></table></div></${Panel}>` : html`<${Nothing} title=${t("no-topics")}>${t("no-topics-why")}</${Nothing}>` : error ? null : html`<${Waiting} height=${320}/>`}
    <p class="note">${t("topics-note")}</p></main></div>`;
}

export function Sources({ status }) {
  const { data, error } = useAnswer("/api/v1/coverage");
  useTitle(t("sources"));
  const feeds = data?.feeds ?? [];
  const mean = (panes) => panes.reduce((sum, pane) => sum + pane.share * pane.seconds, 0) / Math.max(1, panes.reduce((sum, pane) => sum + pane.seconds, 0));
  const gaps = (panes) => panes.filter((pane) => pane.share < 0.8);
  const day = (panes) => panes.filter((pane) => pane.start >= panes.at(-1).start - 86400);
  return html`<div class="wrap"><main id="main" tabindex="-1"><h1 class="plain-head">${t("sources")}</h1><p class="lede-p">${t("sources-lede")}</p><${Failed} error=${error}/>
    ${data ? feeds.length ? feeds.map((feed) => html`<${Panel} id=${`feed-${feed.feed}`} title=${feed.feed} note=${t("feed-note", { share: percent(mean(day(feed.panes))), week: percent(mean(feed.panes)) })} rows=${() => [["feed", "start", "seconds", "share"], ...feed.panes.map((pane) => [feed.feed, pane.start, pane.seconds, pane.share])]}>
      <${Strip} panes=${feed.panes} label=${t("feed-label", { feed: feed.feed, share: percent(mean(feed.panes)) })}/>
      <p class="note">${gaps(feed.panes).length ? html`${n("feed-gaps", gaps(feed.panes).length)} ${gaps(feed.panes).slice(-6).map((pane) => moment(pane.start)).join(", ")}` : t("feed-whole")}</p></${Panel}>`) : html`<${Nothing} title=${t("no-feeds")}>${t("no-feeds-why")}</${Nothing}>` : error ? null : html`<${Waiting} height=${220}/>`}
    ${data ? html`<${Panel} id="reach" title=${t("reach")} rows=${() => [["what", "value"], ["posts_24h", data.posts], ["located_share", data.located], ["newest", status?.latest], ["judged_until", status?.judged_until]]} picture=${false}><dl class="facts-6 wide"><div><dt>${t("posts-24h")}</dt><dd>${number(data.posts)}</dd></div><div><dt>${t("located")}</dt><dd>${percent(data.located)}</dd></div><div><dt>${t("series")}</dt><dd>${number(status?.series)}</dd></div><div><dt>${t("newest-post")}</dt><dd>${status?.latest ? moment(status.latest) : "–"}</dd></div><div><dt>${t("judged-to")}</dt><dd>${status?.judged_until ? moment(status.judged_until) : "–"}</dd></div><div><dt>${t("history")}</dt><dd>${status ? t("days", { n: number(status.history_seconds / 86400, 0) }) : "–"}</dd></div></dl><p class="note">${t("reach-note")}</p></${Panel}>` : null}
  </main></div>`;
}

export function Below() {
  const { data, error } = useAnswer("/api/v1/below");
  useTitle(t("below-title"));
  const windows = data?.windows ?? [];
  const waiting = data?.waiting ?? [];
  const waitingRows = () => [["alert", "topic", "region", "fired_at", "observed", "expected", "upperbound", "digest_at", "subscriptions"], ...waiting.map((one) => [one.alert, one.topic, one.region, one.fired_at, one.observed, one.expected, one.upperbound, one.digest_at, one.subscriptions])];
  const rows = () => [["topic", "region", "end", "observed", "expected", "upperbound", "more_needed"], ...windows.map((one) => [one.topic, one.region, one.end, one.observed, one.expected, one.upperbound, one.more_needed])];
  return html`<div class="wrap"><main id="main" tabindex="-1"><h1 class="plain-head">${t("below-title")}</h1><p class="lede-p">${t("below-lede")}</p><${Failed} error=${error}/>
    ${waiting.length ? html`<${Panel} id="waiting" title=${t("held-back-title")} note=${t("held-back-note")} rows=${waitingRows} picture=${false}><div class="scroll" tabindex="0" role="region" aria-label=${t("table-of", { title: t("held-back-title") })}><table><thead><tr><th scope="col">${t("alert")}</th><th scope="col" class="opt">${t("opened")}</th><th scope="col" class="n">${t("accounts-head")}</th><th scope="col" class="n">${t("expected")}</th><th scope="col" class="n">${t("bound")}</th><th scope="col">${t("waits-for")}</th></tr></thead><tbody>
    ${waiting.map((one) => html`<tr><th scope="row"><a href=${`/alerts/${encodeURIComponent(one.alert)}`}>${one.topic_name} · ${place(one.region)}</a></th><td class="nb opt">${moment(one.fired_at)}</td><td class="n">${number(one.observed)}</td><td class="n quiet">${number(one.expected)}</td><td class="n">${number(one.upperbound)}</td><td>${t("digest-of", { time: moment(one.digest_at) })} <span class="quiet">${one.names.length ? html`<bdi>${one.names.join(", ")}</bdi>` : n("in-subscriptions", one.subscriptions)}</span></td></tr>`)}</tbody></table></div></${Panel}>` : null}
    ${data ? windows.length ? html`<${Panel} id="below" title=${t("below-panel")} note=${t("below-note")} rows=${rows} picture=${false}><div class="scroll" tabindex="0" role="region" aria-label=${t("table-of", { title: t("below-title") })}><table><thead><tr><th scope="col">${t("series")}</th><th scope="col" class="opt">${t("window-to")}</th><th scope="col" class="n">${t("accounts-head")}</th><th scope="col" class="n">${t("expected")}</th><th scope="col" class="n">${t("bound")}</th><th scope="col">${t("missing")}</th></tr></thead><tbody>
    ${windows.map((one) => html`<tr><th scope="row"><a href=${`/series?${query({ topic: one.topic, region: one.region })}`}>${one.topic_name} · ${place(one.region)}</a></th><td class="nb opt">${moment(one.end)}</td><td class="n">${number(one.observed)}</td><td class="n quiet">${number(one.expected)} ${range(one.expected_low, one.expected_high)}</td><td class="n">${number(one.upperbound)}</td><td class="quiet">${n("more-needed", one.more_needed)}</td></tr>`)}</tbody></table></div></${Panel}>` : html`<${Nothing} title=${t("nothing-near")}>${t("nothing-near-why")}</${Nothing}>` : error ? null : html`<${Waiting} height=${320}/>`}
  </main></div>`;
}

export function SignIn({ session, signed }) {
  const [token, setToken] = useState("");
  const [failed, setFailed] = useState(null);
  const [busy, setBusy] = useState(false);
  useTitle(t("sign-in"));
  const open = async (given) => {
    setBusy(true);
    try {
      signed(await ask("/api/v1/session", { method: "POST", body: JSON.stringify({ token: given }) }));
    } catch (error) {
      setFailed(error.status === 401 ? t("opens-nothing") : error.status ? error.message : t("lost-why"));
    }
    setBusy(false);
  };
  useEffect(() => {
    // The start link: what stands behind # is sent to nobody until now, and then taken out of the address.
    const secret = location.hash.slice(1);
    if (secret) {
      history.replaceState(null, "", "/sign-in");
      open(secret);
    }
  }, []);
  const out = async () => signed(await ask("/api/v1/session", { method: "DELETE" }), true);
  return html`<div class="wrap narrow"><main id="main" tabindex="-1"><h1 class="plain-head">${t("sign-in")}</h1>
    ${session.role !== "public" && session.name ? html`<section class="panel"><p>${t("signed-in-as", { name: session.name, role: t(`role-${session.role}`) })}</p><p class="acts spaced"><a class="btn main" href="/">${t("inbox")}</a><button class="btn" type="button" onClick=${out}>${t("sign-out")}</button></p></section>` : html`<section class="panel"><form class="form" onSubmit=${(event) => { event.preventDefault(); open(token.trim()); }}>
      <label class="stack" for="token">${t("token")}</label><input id="token" type="password" autocomplete="current-password" required value=${token} onInput=${(event) => setToken(event.target.value)} aria-describedby="token-hint"/>
      <p class="small quiet" id="token-hint">${t("token-hint")} <code>pumphandle token create</code></p>
      ${failed ? html`<p class="hot" role="alert">${failed}</p>` : null}<p class="acts"><button class="btn main" disabled=${busy}>${t("sign-in")}</button><a class="btn" href="/public">${t("to-public")}</a></p></form></section>`}
  </main></div>`;
}
