// Who hears of what: subscriptions listed, made, changed and taken away.

import { html, useEffect, useState } from "/vendor/preact-htm.js";
import { ask, query, refresh, useAnswer } from "/ask.js";
import { rarities, signed } from "/inbox.js";
import { Failed, Nothing, Panel, Waiting } from "/parts.js";
import { LANGUAGES, language, moment, n, place, t, zone } from "/words.js";

const KINDS = ["symptom", "disease", "narrative", "crisis", "sensitive", "patient", "campaign"];
const DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const PATH = "/api/v1/subscriptions";

const fresh = () => ({ name: "", channel: "mail", to: [], audience: "official", topics: [], kinds: [], regions: [], rarity: null, when: "at-once", "digest-at": "08:00", "digest-day": "monday", zone, quiet: null, "a-week": 3, always: [], language: language(), heartbeat: true, rota: null, "escalate-after": null, deputies: [] });
const words = (text) => text.split(/[\s,;]+/).filter(Boolean);
const weekday = (name) => new Intl.DateTimeFormat(language(), { weekday: "long", timeZone: "UTC" }).format(Date.UTC(2026, 0, 5 + DAYS.indexOf(name)));

function what(one, named) {
  const topics = one.topics.length ? one.topics.map(named).join(", ") : one.kinds.length ? "" : t("all-topics");
  const kinds = one.kinds.map((kind) => t(`kind-${kind}`)).join(", ");
  const regions = one.regions.length ? one.regions.map(place).join(", ") : t("all-regions");
  return [topics, kinds, regions, one.rarity ? `${t("rarer-than")} ${t(`once-a-${one.rarity}`)}` : ""].filter(Boolean).join("; ");
}

function when(one) {
  const digest = one.when === "weekly" ? `${weekday(one["digest-day"])} ${one["digest-at"]}` : one["digest-at"];
  return [one.when === "at-once" ? `${t("when-at-once")}, ${t("so-many-a-week", { n: one["a-week"] })}` : `${t(`when-${one.when}`)}, ${digest}`, one.quiet ? `${t("quiet-hours")} ${one.quiet}` : "", one.zone].filter(Boolean).join("; ");
}

function Form({ kept, topics, done }) {
  const [one, setOne] = useState({ ...fresh(), ...kept?.subscription });
  const [failed, setFailed] = useState(null);
  const [busy, setBusy] = useState(false);
  const set = (key) => (event) => setOne({ ...one, [key]: event.target.type === "checkbox" ? event.target.checked : event.target.value });
  const list = (key, text) => setOne({ ...one, [key]: text });
  const shown = (value) => (Array.isArray(value) ? value.join(", ") : value ?? "");
  const read = (value) => (Array.isArray(value) ? value : words(value ?? ""));
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    const mail = one.channel === "mail";
    const subscription = { ...one, topics: read(one.topics), regions: read(one.regions), always: read(one.always), to: mail ? read(one.to) : [], deputies: mail ? read(one.deputies) : [], rota: mail ? one.rota : null, rarity: one.rarity || null, quiet: (one.quiet ?? "").replace(/\s/g, "") || null, "escalate-after": (mail && one["escalate-after"]) || null, "a-week": Number(one["a-week"]) };
    try {
      await ask(`${PATH}/${encodeURIComponent(one.name)}`, { method: "PUT", body: JSON.stringify({ after: kept?.revision ?? 0, subscription }) });
      refresh();
      done(t("subscription-kept", { name: one.name }));
    } catch (error) {
      setFailed(error.status === 409 ? t("subscription-stale") : error.message);
      setBusy(false);
    }
  };
  const text = (key, hint, more = {}) => html`<label class="stack" for=${`s-${key}`}>${t(`s-${key}`)}<input id=${`s-${key}`} value=${shown(one[key])} onInput=${set(key)} aria-describedby=${hint ? `s-${key}-hint` : null} ...${more}/>${hint ? html`<span class="small quiet" id=${`s-${key}-hint`}>${hint}</span>` : null}</label>`;
  const pick = (key, options) => html`<label class="stack" for=${`s-${key}`}>${t(`s-${key}`)}<select id=${`s-${key}`} onChange=${set(key)}>${options.map(([value, name]) => html`<option value=${value} selected=${(one[key] ?? "") === value}>${name}</option>`)}</select></label>`;
  return html`<section class="panel" aria-labelledby="h-write"><header><h2 id="h-write">${kept ? t("change-subscription", { name: kept.name }) : t("new-subscription")}</h2></header>
    <form class="form" onSubmit=${send}><div class="columns">
      ${text("name", t("s-name-hint"), { required: true, pattern: "[a-z0-9\\-]+", maxlength: 60, disabled: Boolean(kept), autocomplete: "off" })}
      ${pick("channel", [["mail", t("channel-mail")], ["feed", t("channel-feed")]])}
      ${one.channel === "mail" ? text("to", t("s-to-hint"), { required: true, autocomplete: "off" }) : null}
      ${pick("audience", [["official", t("audience-official")], ["public", t("audience-public")]])}
      ${pick("language", Object.entries(LANGUAGES))}
      <label class="stack" for="s-topics">${t("s-topics")}<input id="s-topics" value=${shown(one.topics)} onInput=${set("topics")} list="all-topics" aria-describedby="s-topics-hint"/><span class="small quiet" id="s-topics-hint">${t("s-topics-hint")}</span></label>
      <datalist id="all-topics">${topics.map((topic) => html`<option value=${topic.topic}>${topic.name}</option>`)}</datalist>
      ${text("regions", t("s-regions-hint"))}
      ${pick("rarity", rarities())}
      ${pick("when", ["at-once", "daily", "weekly"].map((name) => [name, t(`when-${name}`)]))}
      ${one.when === "weekly" ? pick("digest-day", DAYS.map((name) => [name, weekday(name)])) : null}
      ${text("digest-at", null, { type: "time", required: true })}
      ${one.when === "at-once" ? text("a-week", t("s-a-week-hint"), { type: "number", min: 0, max: 1000, required: true }) : null}
      ${text("always", t("s-always-hint"))}
      ${text("quiet", t("s-quiet-hint"), { placeholder: "22:00-06:00" })}
      ${text("zone", null, { required: true })}
      ${one.channel === "mail" ? text("escalate-after", t("s-escalate-hint"), { placeholder: "2h" }) : null}
      ${one.channel === "mail" ? text("deputies", t("s-to-hint"), { autocomplete: "off" }) : null}
    </div>
    <fieldset class="ticks"><legend class="small quiet">${t("s-kinds")}</legend>${KINDS.map((kind) => html`<label><input type="checkbox" checked=${one.kinds.includes(kind)} onChange=${(event) => list("kinds", event.target.checked ? [...one.kinds, kind] : one.kinds.filter((other) => other !== kind))}/> ${t(`kind-${kind}`)}</label>`)}</fieldset>
    ${one.channel === "mail" ? html`<p><label><input type="checkbox" checked=${one.heartbeat} onChange=${set("heartbeat")}/> ${t("s-heartbeat")}</label></p>` : null}
    ${failed ? html`<p class="hot" role="alert"><bdi>${failed}</bdi></p>` : null}
    <p class="acts"><button class="btn main" disabled=${busy}>${t("keep-subscription")}</button><button class="btn" type="button" onClick=${() => done("")}>${t("cancel")}</button></p></form></section>`;
}

export function Subscriptions() {
  const { data, error } = useAnswer(PATH);
  const topics = useAnswer("/api/v1/topics").data?.topics ?? [];
  const [open, setOpen] = useState(null);
  const [said, setSaid] = useState("");
  useEffect(() => { document.title = `${t("subscriptions")} · pumphandle`; }, []);
  const named = (id) => topics.find((topic) => topic.topic === id)?.name ?? id;
  const all = data?.subscriptions ?? [];
  const done = (words) => {
    setOpen(null);
    setSaid(words);
  };
  const remove = async (kept) => {
    if (!confirm(t("remove-subscription-sure", { name: kept.name }))) return;
    try {
      await ask(`${PATH}/${encodeURIComponent(kept.name)}?${query({ after: kept.revision })}`, { method: "DELETE" });
      setSaid(t("subscription-removed", { name: kept.name }));
    } catch (failure) {
      setSaid(failure.status === 409 ? t("subscription-stale") : failure.message);
    }
    refresh();
  };
  const test = async (kept) => {
    setSaid(t("test-sending", { name: kept.name }));
    try {
      const { recipients } = await ask(`${PATH}/${encodeURIComponent(kept.name)}/test`, { method: "POST" });
      setSaid(recipients.map((one) => t(`test-${one.outcome}`, { recipient: one.recipient, why: [one.code, one.why].filter(Boolean).join(" ") })).join("; "));
    } catch (failure) {
      setSaid(failure.message);
    }
  };
  const troubles = (kept) => [...(kept.failing ? [t("delivery-failing", { time: moment(kept.failing.since), why: kept.failing.why })] : []), ...kept.refused.map((one) => t("recipient-refused", { address: one.address, why: `${one.code} ${one.why}`, time: moment(one.at) }))];
  const testing = (kept) => html`<button class="btn" type="button" aria-label=${t("test-subscription", { name: kept.name })} onClick=${() => test(kept)}>${t("test-send")}</button>`;
  return html`<div class="wrap"><main id="main" tabindex="-1"><h1 class="plain-head">${t("subscriptions")}</h1><p class="lede-p">${t("subscriptions-lede")}</p><${Failed} error=${error}/>
    <p role="status" class="quiet"><bdi>${said}</bdi></p>
    ${data ? all.length ? html`<${Panel} id="subscriptions" title=${t("subscriptions")} rows=${() => [["name", "channel", "to", "what", "when", "audience", "source"], ...all.map((kept) => [kept.name, kept.subscription.channel, kept.subscription.to.join(" "), what(kept.subscription, named), when(kept.subscription), kept.subscription.audience, kept.source])]} picture=${false}><div class="scroll" tabindex="0" role="region" aria-label=${t("table-of", { title: t("subscriptions") })}><table class="cards"><thead><tr><th scope="col">${t("s-name")}</th><th scope="col">${t("s-channel")}</th><th scope="col">${t("s-what")}</th><th scope="col">${t("s-when")}</th><th scope="col">${t("s-audience")}</th><th scope="col">${t("s-source")}</th></tr></thead><tbody>
    ${all.map((kept) => html`<tr><th scope="row"><bdi>${kept.name}</bdi></th><td>${t(`channel-${kept.subscription.channel}`)} <bdi class="quiet">${kept.subscription.to.join(", ") || kept.subscription.url || ""}</bdi>${troubles(kept).map((trouble) => html`<span class="hot small"><bdi> ${trouble}</bdi></span>`)}</td><td>${what(kept.subscription, named)}</td><td>${when(kept.subscription)}${kept.waiting ? html` <b>${n("waiting-for-digest", kept.waiting)}</b>` : null}</td><td>${t(`audience-${kept.subscription.audience}`)}</td><td>${kept.source === "file" ? html`<span class="quiet">${t("source-file")}</span><span class="acts spaced">${testing(kept)}</span>` : html`<span class="quiet">${t("source-page", { who: signed(kept.by), time: moment(kept.at) })}</span><span class="acts spaced">${testing(kept)}<button class="btn" type="button" aria-label=${t("change-subscription", { name: kept.name })} onClick=${() => setOpen(kept)}>${t("change")}</button><button class="btn" type="button" aria-label=${t("remove-subscription", { name: kept.name })} onClick=${() => remove(kept)}>${t("remove")}</button></span>`}</td></tr>`)}</tbody></table></div></${Panel}>` : html`<${Nothing} title=${t("no-subscriptions")}>${t("no-subscriptions-why")}</${Nothing}>` : error ? null : html`<${Waiting} height=${240}/>`}
    ${open ? html`<${Form} key=${open.name ?? ""} kept=${open.name ? open : null} topics=${topics} done=${done}/>` : data ? html`<p class="acts spaced"><button class="btn main" type="button" onClick=${() => { setSaid(""); setOpen({}); }}>${t("new-subscription")}</button></p>` : null}
    <p class="note">${t("subscriptions-note")}</p></main></div>`;
}
