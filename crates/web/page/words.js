// Words and numbers in the reader's language. Phrases stand in words/*.json; names of countries and languages come from the browser.

let phrases = {};
let locale = "en-GB";
let plural = new Intl.PluralRules(locale);
let named = {};

export const LANGUAGES = { en: "English", fr: "Français", es: "Español", de: "Deutsch" };
const LOCALES = { en: "en-GB", fr: "fr", es: "es", de: "de" };
export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

export const language = () => document.documentElement.lang;

export async function load(code) {
  const answer = await fetch(`/words/${code}.json`, { cache: "no-cache" });
  phrases = await answer.json();
  locale = LOCALES[code];
  plural = new Intl.PluralRules(locale);
  countries = new Intl.DisplayNames(locale, { type: "region", fallback: "none" });
  languages = new Intl.DisplayNames(locale, { type: "language", fallback: "none" });
  formats.clear();
  document.documentElement.lang = code;
}

/** Names of places from the server, by code. */
export function know(regions) {
  named = Object.fromEntries(regions.map((region) => [region.region, region.name]));
}

/** A phrase with its holes filled. */
export function t(key, values) {
  const phrase = phrases[key] ?? key;
  return values ? phrase.replace(/\{(\w+)\}/g, (_, hole) => values[hole] ?? "") : phrase;
}

/** A phrase that depends on a number: `key_one`, `key_other`; `{n}` is the number. */
export function n(key, count, values) {
  const kind = plural.select(count) === "one" ? "one" : "other";
  return t(`${key}_${kind}`, { n: number(count), ...values });
}

// ---------- numbers ----------

const formats = new Map();
function format(kind, options) {
  const key = kind + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, kind === "number" ? new Intl.NumberFormat(locale, options) : new Intl.DateTimeFormat(locale, options));
  return formats.get(key);
}

/** One decimal below ten. */
export function number(value, digits) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return format("number", { maximumFractionDigits: digits ?? (Math.abs(value) < 10 ? 1 : 0) }).format(value);
}

/** Never 100 % of what was not whole. */
export function percent(share) {
  if (share === null || share === undefined || !Number.isFinite(share)) return "–";
  const whole = share >= 1 ? 100 : Math.min(99, Math.round(share * 100));
  return language() === "en" ? `${whole} %` : format("number", { style: "percent" }).format(whole / 100);
}

export const times = (ratio) => `${number(ratio, 1)} ×`;

/** `6 (3–11)`. */
export function range(low, high) {
  return low === null || low === undefined || high === null || high === undefined ? "" : `(${number(Math.floor(low))}–${number(Math.ceil(high))})`;
}

/** The same inside a sentence: nothing, or with the space before it. */
function ranged(alert) {
  const shown = range(alert.grounds?.expected_low, alert.grounds?.expected_high);
  return shown && ` ${shown}`;
}

// ---------- time: the reader's zone, named ----------

const date = (seconds) => new Date(seconds * 1000);
export const day = (seconds) => format("time", { day: "numeric", month: "short" }).format(date(seconds));
export const weekday = (seconds) => format("time", { weekday: "short", day: "numeric", month: "short" }).format(date(seconds));
export const whole = (seconds) => format("time", { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" }).format(date(seconds));
export const utcDay = (seconds) => format("time", { weekday: "long", timeZone: "UTC" }).format(date(seconds));
export const clock = (seconds) => format("time", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(date(seconds));
export const zoned = (seconds) => format("time", { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" }).format(date(seconds));
export const moment = (seconds) => `${weekday(seconds)} ${clock(seconds)}`;
export const instant = (seconds) => `${weekday(seconds)} ${zoned(seconds)}`;
export const year = (seconds) => format("time", { day: "numeric", month: "short", year: "numeric" }).format(date(seconds));

export function span(seconds) {
  if (seconds % 86400 === 0 && seconds > 86400) return t("days", { n: number(seconds / 86400) });
  if (seconds >= 3600) return `${number(seconds / 3600)} h`;
  return `${number(seconds / 60)} min`;
}

export function lasted(seconds) {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.round((seconds % 3600) / 60)];
  if (hours >= 48) return t("days", { n: number(seconds / 86400, 1) });
  return hours ? `${number(hours)} h ${number(minutes)} min` : `${number(minutes)} min`;
}

// ---------- places ----------

let countries = new Intl.DisplayNames("en-GB", { type: "region", fallback: "none" });
let languages = new Intl.DisplayNames("en-GB", { type: "language", fallback: "none" });

export function place(code) {
  if (code === "001") return t("world");
  if (code === "ZZ") return t("place-unknown");
  if (code === "lang:und") return t("language-unknown");
  if (code.startsWith("lang:")) return t("in-language", { name: attempt(() => languages.of(code.slice(5))) ?? code.slice(5) });
  if (/^[A-Z]{2}$/.test(code)) return attempt(() => countries.of(code)) ?? named[code] ?? code;
  return named[code] ?? code;
}

function attempt(make) {
  try {
    return make();
  } catch {
    return undefined;
  }
}

const WITH_ARTICLE = ["AE", "BS", "CF", "DO", "FK", "GB", "GM", "IM", "KM", "KY", "MV", "NL", "PH", "SB", "US"];

/** In a sentence; only English needs more than the name. */
function within(code) {
  if (language() !== "en") return place(code);
  if (code === "001") return "worldwide";
  if (code === "ZZ") return "from places unknown";
  if (code === "lang:und") return "in no stated language";
  if (code.startsWith("lang:")) return `in ${attempt(() => languages.of(code.slice(5))) ?? code.slice(5)}`;
  return `in ${WITH_ARTICLE.includes(code) ? "the " : ""}${place(code)}`;
}

/** `Influenza` inside a sentence is `influenza`; `COVID-19` stays. */
const inside = (name) => (language() === "en" && name.slice(0, 2) !== name.slice(0, 2).toUpperCase() ? name[0].toLowerCase() + name.slice(1) : name);

// ---------- an alert in words ----------

/** How rare by chance; nothing until it has been measured. */
export function rarity(days) {
  if (!days) return null;
  if (days >= 3650) return t("rarity-decade");
  if (days >= 548) return t("rarity-years", { n: number(days / 365.25, 0) });
  if (days >= 274) return t("rarity-year");
  if (days >= 43) return t("rarity-times", { n: number(365.25 / days, 0) });
  if (days >= 21) return t("rarity-month");
  if (days >= 11) return t("rarity-fortnight");
  return days >= 5 ? t("rarity-week") : t("rarity-often");
}

const nbsp = (text) => text.replace(/(\d) (?=\S)/g, "$1\u00a0");

export function sentence(alert) {
  const early = alert.state === "open" && alert.stage === "early";
  return nbsp(t(early ? "sentence-early" : alert.state === "withdrawn" ? "sentence-withdrawn" : "sentence", {
    accounts: n("accounts", alert.observed),
    topic: inside(alert.topic_name),
    place: within(alert.region),
    span: span(alert.window_seconds),
    end: instant(alert.window_end),
    expected: number(alert.expected),
    range: ranged(alert),
  }));
}

/** The row's, shorter: topic and place stand above it. */
export function say(alert) {
  const said = t(alert.state === "open" && alert.stage === "early" ? "say-early" : "say", {
    accounts: n("accounts", alert.observed),
    span: span(alert.window_seconds),
    end: instant(alert.window_end),
    expected: number(alert.expected),
    range: ranged(alert),
  });
  return nbsp(alert.sampled ? `${said} ${voice(alert)}` : said);
}

/** `14 first-person, 3 link to news.` */
export const voice = (alert) => `${t("voice", { own: number(alert.first_person), all: number(alert.sampled) })}, ${n("news", alert.news)}.`;
