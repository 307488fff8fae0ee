// Words and numbers in the reader's language. Phrases are in words/*.json, alerts come in words from the server; names of countries and languages come from the browser.

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

/** The server's words for how rare an alert is, at the beginning of a line. */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
