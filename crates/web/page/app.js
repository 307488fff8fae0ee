// The page: inbox on one side, what is selected on the other. State is in the address; data is asked for again and again.

import { panesChart, table, trend, windowsChart } from "./chart.js";
import { clock, make, moment, number, percent, span } from "./make.js";

const EVERY = 5000;
const HIDDEN_EVERY = 30000;
const at = (id) => document.getElementById(id);

let alerts = [];
let topics = [];
let status = null;
let known = null;
let shownKey = "";
let shownList = "";
let shownTopics = "";

async function ask(path) {
  const answer = await fetch(path, { cache: "no-cache", headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail ?? answer.statusText);
  return answer.json();
}

// ---------- what is selected, by the address ----------

function selected() {
  const parts = new URLSearchParams(location.hash.slice(1));
  if (parts.has("alert")) return { alert: parts.get("alert") };
  if (parts.has("topic") && parts.has("region")) return { topic: parts.get("topic"), region: parts.get("region") };
  const first = ranked().find((alert) => alert.state === "open");
  return first ? { alert: first.id, implied: true } : {};
}

const address = (parts) => `#${new URLSearchParams(parts)}`;

// ---------- the list ----------

// Rarest first; where rarity isn't measured yet, by severity and by how far above the bound.
function ranked() {
  const height = (alert) => alert.observed / Math.max(1, alert.upperbound);
  return [...alerts].sort((one, other) =>
    (other.recurrence ?? 0) - (one.recurrence ?? 0) || other.severity - one.severity || height(other) - height(one) || one.id.localeCompare(other.id));
}

function stage(alert) {
  if (alert.state === "withdrawn") return ["Withdrawn", "ended"];
  if (alert.state === "closed") return ["Over", "ended"];
  return alert.stage === "early" ? ["Early, not yet confirmed", "early"] : ["Confirmed", "firm"];
}

function row(alert, chosen) {
  const [said, style] = stage(alert);
  const handled = alert.events.at(-1);
  return make("li", { class: chosen ? "alert on" : "alert", "data-id": alert.id },
    make("p", { class: "rarity" }, alert.rarity ? [make("b", null, alert.rarity), " by chance"] : "Rarity not measured yet"),
    make("div", { class: "said" },
      make("h3", null, make("a", { href: address({ alert: alert.id }), "aria-current": chosen ? "true" : null }, alert.title)),
      make("p", null, alert.sentence)),
    make("div", { class: "small-trend" }, alert.trend?.length > 1 ? trend(alert.trend) : null),
    make("p", { class: "where" }, make("span", { class: `stage ${style}` }, said), " ", make("span", null, `fired ${moment(alert.fired_at)}`),
      handled ? make("span", null, ` ${handled.state}, ${handled.actor}`) : null));
}

function drawList() {
  const choice = selected();
  const list = JSON.stringify([alerts, choice, status?.learning, status?.latest === null]);
  if (list === shownList) return;
  shownList = list;
  const focused = document.activeElement?.closest("li")?.dataset.id;
  const open = ranked().filter((alert) => alert.state === "open");
  const ended = alerts.filter((alert) => alert.state !== "open");
  at("open").replaceChildren(...open.map((alert) => row(alert, alert.id === choice.alert)));
  at("ended").replaceChildren(...ended.map((alert) => row(alert, alert.id === choice.alert)));
  at("over").hidden = ended.length === 0;
  at("lede").replaceChildren(...lede(open.length));
  document.title = `${open.length ? `(${open.length}) ` : ""}Inbox · pumphandle`;
  if (focused) document.querySelector(`li[data-id="${CSS.escape(focused)}"] a`)?.focus();
}

function lede(open) {
  if (open > 0) return [`${number(open)} open, rarest first.`];
  if (status?.latest === null || status === null) return ["No post on any topic has landed yet. The first counts show here within seconds of the first post."];
  if (status.learning) {
    return [`No alert. Still learning what is usual: ${number(status.history_seconds / 86400, 0)} of at least ${number(status.history_needed_seconds / 86400, 0)} days of history. Until then most windows have no answer.`];
  }
  return ["No open alert: nothing is above its bound."];
}

function drawState() {
  const parts = [];
  if (status.latest !== null) parts.push(make("span", null, "Newest post counted ", make("b", null, `${moment(status.latest)} UTC`)));
  for (const feed of status.feeds.slice(0, 6)) {
    parts.push(make("span", null, make("b", null, percent(feed.share)), ` of ${feed.feed} seen in the ${span(feed.pane_seconds)} from ${clock(feed.pane_start)}`));
  }
  parts.push(make("span", null, `${number(status.topics)} topics, ${number(status.series)} series`));
  at("state").replaceChildren(...parts);
  at("foot").textContent = `pumphandle ${status.version}${status.simulated ? ", simulated data" : ""}, Apache-2.0`;
}

function drawTopics() {
  const text = JSON.stringify(topics.map((topic) => [topic.topic, topic.name, topic.regions.map((region) => region.region)]));
  const choice = selected();
  if (text !== shownTopics) {
    shownTopics = text;
    at("look").hidden = topics.every((topic) => topic.regions.length === 0);
    at("topic").replaceChildren(...topics.filter((topic) => topic.regions.length).map((topic) => make("option", { value: topic.topic }, topic.name)));
    regionsOf(choice.topic ?? at("topic").value);
  }
  if (choice.topic && at("topic").value !== choice.topic) {
    at("topic").value = choice.topic;
    regionsOf(choice.topic);
  }
  if (choice.region) at("region").value = choice.region;
}

function regionsOf(id) {
  const topic = topics.find((one) => one.topic === id);
  const kept = at("region").value;
  const regions = [...(topic?.regions ?? [])].sort((one, other) => one.name.localeCompare(other.name));
  at("region").replaceChildren(...regions.map((region) => make("option", { value: region.region }, region.name)));
  if (regions.some((region) => region.region === kept)) at("region").value = kept;
}

// ---------- what is selected ----------

async function drawOne(force) {
  const choice = selected();
  const alert = choice.alert && alerts.find((one) => one.id === choice.alert);
  // An open window's numbers move with the newest post.
  const key = JSON.stringify([choice.alert, choice.topic, choice.region, alert?.revision, Math.floor((status?.latest ?? 0) / 60)]);
  if (key === shownKey && !force) return;
  if (choice.alert) await drawAlert(choice.alert);
  else if (choice.topic) await drawSeries(choice.topic, choice.region);
  else at("one").replaceChildren(make("p", { class: "nothing" }, status?.series ? "Nothing is selected. Choose a series below the inbox to see what is usual there." : "Charts show here as soon as there are counts."));
  shownKey = key;
}

async function drawAlert(id) {
  const { alert, revisions } = await ask(`/api/v1/alerts/${encodeURIComponent(id)}`);
  const days = alert.window_seconds > 86400 ? 120 : 28;
  const parts = new URLSearchParams({ topic: alert.topic, region: alert.region, from: alert.window_end - days * 86400, to: alert.window_end + 2 * 86400 });
  const series = await ask(`/api/v1/series?${parts}`);
  if (selected().alert !== id) return;
  const [said, style] = stage(alert);
  const windows = series.windows.filter((point) => point.seconds === alert.window_seconds && point.method === alert.method);
  at("one").replaceChildren(
    make("p", { class: "where" }, make("span", { class: `stage ${style}` }, said), ` fired ${moment(alert.fired_at)} UTC`),
    make("h2", null, alert.sentence),
    make("p", { class: "rest" }, alert.rest),
    checks(alert),
    ...charts(series, windows, alert),
    facts(alert),
    ...shares(alert),
    story(revisions));
}

async function drawSeries(topic, region) {
  const series = await ask(`/api/v1/series?${new URLSearchParams({ topic, region })}`);
  const choice = selected();
  if (choice.topic !== topic || choice.region !== region) return;
  const name = topics.find((one) => one.topic === topic)?.name ?? topic;
  const lengths = series.windows.filter((point) => point.alarm !== null).map((point) => point.seconds);
  const length = lengths.at(-1) ?? series.windows.at(-1)?.seconds;
  at("one").replaceChildren(
    make("h2", null, `${name} · ${series.region_name}`),
    make("p", { class: "rest" }, "Posts, not cases."),
    ...charts(series, series.windows.filter((point) => point.seconds === length), null));
}

function charts(series, windows, alert) {
  const result = [];
  if (windows.length > 1) {
    const length = span(windows[0].seconds);
    result.push(make("section", null, make("h3", null, `Accounts in the ${length} before each hour`.replace("each hour", windows[1].end - windows[0].end === 3600 ? "each hour" : "each point")),
      windowsChart(windows, {
        label: `Accounts in windows of ${length}, with what was expected and the upper bound; the table below has the numbers`,
        hint: "Grey-blue is what was expected, the dashed line is the bound; hatched: no answer.",
      }), table(windows)));
  } else {
    result.push(make("p", { class: "nothing" }, "No window has been judged here yet: what is usual is still being learnt."));
  }
  const seconds = series.panes.at(-1)?.seconds;
  if (seconds) {
    const to = alert ? Math.max(alert.window_end, Math.min(series.panes.at(-1).start + seconds, alert.window_end + 86400)) : series.panes.at(-1).start + seconds;
    const from = to - Math.max(72 * Math.min(seconds, 3600), 28 * (seconds > 3600 ? seconds : 0));
    const panes = series.panes.filter((pane) => pane.start >= from && pane.start < to && pane.seconds === seconds);
    result.push(make("section", null, make("h3", null, `Posts each ${span(seconds)}`),
      panesChart(panes, { from, to, seconds, label: `Posts in panes of ${span(seconds)}`, window: alert && [alert.window_end - alert.window_seconds, alert.window_end] }),
      make("p", { class: "readout" }, alert ? "Shaded is the window of the alert; hollow bars may still change." : "Hollow bars may still change.")));
  }
  return result;
}

function checks(alert) {
  const hints = [];
  if (alert.state === "open" && alert.stage === "early") hints.push("Wait for the close of this window before you call anybody.");
  if (alert.most_by_one > 1 && alert.most_by_one * 4 >= alert.sampled) hints.push(`One account wrote ${number(alert.most_by_one)} of ${number(alert.sampled)} sampled posts.`);
  if (alert.near_copies > 1 && alert.near_copies * 4 >= alert.sampled) hints.push(`${number(alert.near_copies)} of ${number(alert.sampled)} sampled posts are near-copies of each other: a campaign, or bots?`);
  if (alert.new_accounts * 4 >= alert.sampled && alert.new_accounts > 1) hints.push(`${number(alert.new_accounts)} of ${number(alert.sampled)} sampled posts are by new accounts.`);
  if (alert.news * 2 >= alert.sampled && alert.news > 1) hints.push("Most of the sample links to news: is it talk about an event elsewhere?");
  if (alert.coverage < 0.95) hints.push(`Only ${percent(alert.coverage)} of the posts of these hours were seen.`);
  const also = alert.region_names.filter((_, index) => alert.regions[index] !== alert.region);
  if (also.length) hints.push(`Above its bound as well: ${also.slice(0, 8).join(", ")}${also.length > 8 ? ` and ${also.length - 8} more` : ""}.`);
  hints.push("Does another source rise too: absences, calls, laboratory reports?");
  return make("section", { class: "check" }, make("h3", null, "What to check"), make("ol", null, hints.map((hint) => make("li", null, hint))));
}

function facts(alert) {
  const sampled = alert.sampled;
  const [said] = stage(alert);
  const pairs = [
    ["Accounts", number(alert.observed), `${number(alert.expected)} expected`],
    ["Upper bound", number(alert.upperbound), `${number(alert.observed / Math.max(alert.expected, 0.01), 1)} times what was expected`],
    ["Posts", number(alert.posts), `in ${span(alert.window_seconds)}`],
    ["All posts here", alert.population ? number(alert.population) : "–", alert.population ? `${number((alert.observed * 1e6) / alert.population)} accounts a million posts` : "no denominator"],
    ["Coverage", percent(alert.coverage), "of the posts were seen"],
    ["First-person", sampled ? number(alert.first_person) : "–", `of ${number(sampled)} sampled`],
    ["Link to news", sampled ? number(alert.news) : "–", `of ${number(sampled)} sampled`],
    ["Near-copies", sampled ? number(alert.near_copies) : "–", "in the largest group"],
    ["By one account", sampled ? number(alert.most_by_one) : "–", "at most, of the sample"],
    ["Stage", said, `window to ${moment(alert.window_end)} UTC`],
    ["Detector", alert.method, `revision ${alert.revision}`],
    ["Opened", moment(alert.opened_at), "UTC, start of the first window"],
  ];
  return make("section", null, make("h3", null, "The numbers"),
    make("dl", { class: "facts" }, pairs.map(([name, value, note]) => make("div", null, make("dt", null, name), make("dd", null, value, " ", make("small", null, note))))));
}

function shares(alert) {
  const groups = [["Tags of the sample", alert.tags], ["Languages", alert.langs], ["Links to", alert.link_domains]];
  return groups.filter(([, list]) => list.length).map(([name, list]) => make("section", null, make("h3", null, name),
    make("ul", { class: "shares" }, list.slice(0, 10).map((share) => {
      const bar = make("meter", { min: 0, max: Math.max(1, alert.sampled), value: share.posts, "aria-hidden": true });
      return make("li", null, make("bdi", null, name.startsWith("Tags") ? `#${share.name}` : share.name), bar, make("span", null, `${number(share.posts)} of ${number(alert.sampled)}`));
    }))));
}

function story(revisions) {
  return make("section", null, make("h3", null, "How it went"),
    make("ol", { class: "story" }, revisions.slice(-20).map((one) => make("li", null, make("b", null, stage(one)[0]),
      ` at ${number(one.observed)} accounts, ${number(one.expected)} expected, bound ${number(one.upperbound)}, window to ${moment(one.window_end)}`))));
}

// ---------- asking again ----------

function announce(fresh) {
  const open = new Set(fresh.filter((alert) => alert.state === "open").map((alert) => alert.id));
  const added = known && fresh.filter((alert) => open.has(alert.id) && !known.has(alert.id));
  if (added?.length) at("news").textContent = `New alert: ${added.map((alert) => alert.title).join("; ")}`;
  known = new Set(fresh.map((alert) => alert.id));
}

async function refresh() {
  try {
    const [nowStatus, nowAlerts, nowTopics] = await Promise.all([ask("/api/v1/status"), ask("/api/v1/alerts"), ask("/api/v1/topics")]);
    status = nowStatus;
    alerts = nowAlerts.alerts;
    topics = nowTopics.topics;
    announce(alerts);
    drawState();
    drawList();
    drawTopics();
    await drawOne(false);
    document.body.classList.remove("lost");
  } catch (error) {
    document.body.classList.add("lost");
    at("state").replaceChildren(make("b", null, "No answer from the server."), ` Asking again. (${error.message})`);
  }
}

async function again() {
  await refresh();
  setTimeout(again, document.visibilityState === "visible" ? EVERY : HIDDEN_EVERY);
}

async function choose() {
  drawList();
  drawTopics();
  try {
    await drawOne(true);
  } catch (error) {
    at("one").replaceChildren(make("p", { class: "nothing" }, error.message));
  }
  if (location.hash && matchMedia("(max-width: 60rem)").matches) at("one").scrollIntoView();
}

addEventListener("hashchange", choose);
function look() {
  location.hash = address({ topic: at("topic").value, region: at("region").value });
}
at("look").addEventListener("change", (event) => {
  if (event.target.id === "topic") regionsOf(event.target.value);
  look();
});
at("look").addEventListener("submit", (event) => {
  event.preventDefault();
  look();
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, svg")) return;
  const move = { j: 1, k: -1 }[event.key];
  if (!move) return;
  const ids = [...document.querySelectorAll(".alert")].map((one) => one.dataset.id);
  const next = ids[ids.indexOf(selected().alert) + move];
  if (next) location.hash = address({ alert: next });
});

again();
