// What a person sees: an alert that arrives while the page is open, every page in every language, theme and width, and how one gets in.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [program, parts, shots] = process.argv.slice(2);
const require = createRequire(join(parts, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const LANGUAGES = ["en", "fr", "es", "de"];
const THEMES = ["light", "dark"];
const WIDTHS = [360, 1440];
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
/** Several at once: what takes time is Chromium's drawing. */
const WORKERS = 3;

const problems = [];
const began = Date.now();
const fail = (words) => problems.push(words);
const log = (words) => console.log(`${((Date.now() - began) / 1000).toFixed(0).padStart(4)} s  ${words}`);
const folder = mkdtempSync(join(tmpdir(), "pumphandle-browser-"));
const children = [];

/** Starts the program and waits for a word in its log. */
function start(args, word, options = {}) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], cwd: folder, ...options });
  children.push(child);
  return new Promise((done, failed) => {
    let said = "";
    const timer = setTimeout(() => failed(new Error(`\`${args[0]}\` said nothing of ${word}:\n${said}`)), 60_000);
    const hear = (bytes) => {
      said += bytes.toString().replace(/\u001b\[[0-9;]*m/g, "");
      const found = said.match(word);
      if (found) {
        clearTimeout(timer);
        done({ child, found: found[1] });
      }
    };
    child.stderr.on("data", hear);
    child.stdout.on("data", () => {});
    child.on("exit", (code) => failed(new Error(`\`${args[0]}\` ended with ${code}:\n${said}`)));
  });
}

/** One screenshot at a time: on two cores Chromium starves one of several that it draws at once. */
let drawing = Promise.resolve();
function screenshot(page, name) {
  const taken = drawing.then(() => page.screenshot({ path: join(shots, name), fullPage: true, timeout: 120_000 }));
  drawing = taken.catch(() => {});
  return taken;
}

let errors = 0;
function watch(page, name) {
  const error = (words) => {
    errors += 1;
    fail(`${name}: ${words}`);
  };
  page.on("console", (message) => message.type() === "error" && error(`console: ${message.text()} ${message.location().url}`));
  page.on("pageerror", (thrown) => error(`error: ${thrown.message}`));
  return page;
}

async function settled(page) {
  await page.waitForSelector("#main", { timeout: 20_000 });
  await page.waitForFunction(() => !document.querySelector(".skeleton, .map:empty"), null, { timeout: 20_000 });
}

let checked = 0;
let violations = 0;
async function check(page, name) {
  const found = await page.evaluate((rules) => window.axe.run(document, { runOnly: rules, resultTypes: ["violations"] }), RULES);
  for (const one of found.violations) {
    violations += one.nodes.length;
    fail(`${name}: ${one.id} (${one.impact}): ${one.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.any[0]?.message ?? node.failureSummary ?? ""}`).join(" | ")}`);
  }
  // A page is never wider than its screen: only tables scroll, in their own boxes.
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 1) fail(`${name}: ${wide} px wider than the screen`);
  checked += 1;
}

/** An alert arrives while the page is open, its page explains it, and acknowledging moves it. */
async function live(browser, base) {
  const page = watch(await browser.newPage({ viewport: { width: 1440, height: 1000 }, locale: "en-GB" }), "live");
  await page.goto(`${base}/`);
  const row = page.locator("#open .row", { has: page.locator("h3", { hasText: "Fever · Berlin" }) });
  await row.waitFor({ timeout: 90_000 });
  const state = await page.evaluate(() => performance.getEntriesByType("navigation").length);
  if (state !== 1) fail("live: the page was loaded again");
  log("an alert arrived while the page was open");
  await row.locator("a").click();
  const head = page.locator(".headline h1");
  await head.waitFor();
  const sentence = (await head.textContent()).replaceAll("\u00a0", " ");
  if (!/^\d+ accounts posted about fever in Berlin (so far )?in the 24 h .*; [\d.]+ expected/.test(sentence)) fail(`live: the sentence is \`${sentence}\``);
  await page.locator("#h-check").waitFor();
  if ((await page.locator(".alert-grid .check li").count()) < 1) fail("live: nothing to check");
  await page.waitForFunction(() => document.querySelector(".plot .obs")?.getAttribute("d")?.length > 10, null, { timeout: 20_000 });
  log(`its page explains it: ${sentence}`);
  const id = decodeURIComponent(new URL(page.url()).pathname.split("/").at(-1));
  await page.goBack();
  await row.waitFor();
  await row.locator("a").focus();
  await page.keyboard.press("a");
  await row.locator(".chip.triaged").waitFor({ timeout: 20_000 });
  const after = (await (await fetch(`${base}/api/v1/alerts/${id}`)).json()).alert;
  if (after.events.at(-1)?.state !== "triaged") fail(`live: the record says ${JSON.stringify(after.events)}`);
  log("acknowledging it moved it to triaged");
  await page.keyboard.press("u");
  await row.locator(".chip.new").waitFor({ timeout: 20_000 });
  await page.keyboard.press("a");
  await row.locator(".chip.triaged").waitFor({ timeout: 20_000 });
  const events = (await (await fetch(`${base}/api/v1/alerts/${id}`)).json()).alert.events;
  if (events.map((one) => one.undone).join() !== "false,true,false") fail(`live: undoing left ${JSON.stringify(events)}`);
  log("acknowledging was undone and done again");
  // A change against what is no longer so is refused, and said.
  const stale = await page.evaluate(async ([path]) => (await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ after: 0, state: "verifying" }) })).status, [`/api/v1/alerts/${id}/changes`]);
  if (stale !== 409) fail(`live: a stale change was answered with ${stale}`);
  errors -= problems.filter((words) => words.includes("409")).length;
  problems.splice(0, problems.length, ...problems.filter((words) => !words.includes("409")));
  // Decided on its own page, it leaves the open ones.
  await row.locator("a").click();
  await page.locator("#decide summary").click();
  await page.locator("#decide input[value=talk-only]").check();
  await page.locator("#decide .btn").click();
  await page.locator(".steps li[aria-current=step]", { hasText: "Decided" }).waitFor({ timeout: 20_000 });
  await page.goto(`${base}/`);
  await page.locator("#done .row", { hasText: "Fever · Berlin" }).waitFor({ timeout: 20_000 });
  if (await row.count()) fail("live: a decided alert is still among the open ones");
  log("deciding it took it out of the open ones");
  // What panels give away: a table, a picture, a drawing.
  await page.goto(`${base}/alerts/${encodeURIComponent(id)}`);
  await page.waitForFunction(() => document.querySelector(".plot .obs")?.getAttribute("d")?.length > 10);
  for (const [ending, begins] of [["CSV", "\ufeffend,observed"], ["SVG", "<svg"], ["PNG", "\u0089PNG"]]) {
    const waiting = page.waitForEvent("download");
    await page.getByRole("button", { name: `Eight weeks as ${ending}` }).click();
    const bytes = readFileSync(await (await waiting).path());
    const text = ending === "PNG" ? bytes.toString("latin1") : bytes.toString("utf8");
    if (!text.startsWith(begins)) fail(`live: ${ending} begins with ${JSON.stringify(text.slice(0, 20))}`);
  }
  log("panels gave CSV, SVG and PNG");
  await page.close();
  return id;
}

/** By keyboard alone: the first stop skips to the content, the map is one stop that arrows walk, single keys can be switched off. */
async function keyboard(browser, base) {
  const page = watch(await browser.newPage({ viewport: { width: 1440, height: 1000 }, locale: "en-GB", reducedMotion: "reduce" }), "keyboard");
  await page.goto(`${base}/explorer`);
  await settled(page);
  await page.waitForSelector(".map path[data-code]");
  await page.keyboard.press("Tab");
  if (!(await page.evaluate(() => document.activeElement.matches(".skip")))) fail("keyboard: the first stop doesn't skip to the content");
  const stops = await page.evaluate(() => document.querySelectorAll(".map path[tabindex='0']").length);
  if (stops !== 1) fail(`keyboard: the map has ${stops} stops`);
  await page.locator(".map path[tabindex='0']").focus();
  const first = await page.evaluate(() => document.activeElement.dataset.code);
  await page.keyboard.press("ArrowRight");
  if ((await page.evaluate(() => document.activeElement.dataset.code)) === first) fail("keyboard: arrows don't walk the map");
  await page.goto(`${base}/`);
  await settled(page);
  await page.keyboard.press("?");
  await page.locator("dialog[open] input[type=checkbox]").uncheck();
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  if (await page.locator("dialog[open]").count()) fail("keyboard: single keys can't be switched off");
  await page.close();
  log("keys work, and can be switched off");
}

/** A subscription is made, changed and taken away; a mistake is told beside the form. */
async function subscribe(browser, base) {
  const context = await browser.newContext({ viewport: { width: 360, height: 900 }, locale: "en-GB", reducedMotion: "reduce" });
  await context.addInitScript({ content: axe });
  const page = watch(await context.newPage(), "subscriptions");
  page.on("dialog", (dialog) => dialog.accept());
  await page.goto(`${base}/subscriptions`);
  await settled(page);
  await page.getByRole("button", { name: "New subscription" }).click();
  await check(page, "subscriptions, a form for mail");
  await screenshot(page, "subscribe-en-360-light.png");
  await page.selectOption("#s-channel", "feed");
  await page.fill("#s-name", "berlin");
  await page.fill("#s-topics", "influenca");
  await page.fill("#s-regions", "DE-BE");
  const before = problems.length;
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator(".form [role=alert]", { hasText: "no topic `influenca`" }).waitFor();
  // The browser itself notes that an answer was 422.
  problems.splice(before, problems.length - before, ...problems.slice(before).filter((words) => !words.includes("422")));
  errors = problems.filter((words) => / (console|error): /.test(words)).length;
  await page.fill("#s-topics", "influenza, fever");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("tbody tr", { hasText: "berlin" }).waitFor();
  await check(page, "subscriptions, one of them");
  await page.getByRole("button", { name: "Change berlin" }).click();
  await page.selectOption("#s-when", "weekly");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("tbody tr", { hasText: "weekly digest, Monday 08:00" }).waitFor();
  const second = await browser.newPage();
  await second.goto(`${base}/subscriptions?language=de`);
  await second.locator("tbody tr", { hasText: "berlin" }).waitFor();
  await second.close();
  await page.getByRole("button", { name: "Remove berlin" }).click();
  await page.locator(".nothing").waitFor();
  await context.close();
  log("a subscription was made, changed and taken away");
}

/** The demo's published days are told in words, and no number that is shown stands for fewer than the rule allows. */
async function published(browser, base) {
  const page = watch(await browser.newPage({ viewport: { width: 1440, height: 1000 }, locale: "en-GB" }), "published");
  await page.goto(`${base}/public`);
  await page.locator(".when", { hasText: "the latest published day" }).waitFor();
  const rows = await page.locator("section[aria-labelledby=h-all] tbody tr").allInnerTexts();
  if (rows.length < 3) fail(`published: ${rows.length} topics of the world`);
  const numbers = (await page.locator("td.n").allInnerTexts()).flatMap((words) => words.match(/\d[\d,]*/g) ?? []).map((word) => Number(word.replace(",", "")));
  if (!numbers.length || numbers.some((number) => number < 10 || number % 5)) fail(`published: ${numbers.join(" ")}`);
  const words = await page.evaluate(async () => {
    const { wordOf } = await import("/public.js");
    const month = Array(28).fill({ accounts: null });
    return [70, 15].map((accounts) => wordOf([...month, { accounts }], 28).word).join();
  });
  if (words !== "more,few") fail(`published: a surge after a month without numbers reads ${words}`);
  await page.close();
  log(`${rows.length} topics of the world stand on the public page`);
}

/** Every page, in every language, theme and width. */
async function all(browser, base, pages) {
  const jobs = LANGUAGES.flatMap((language) => WIDTHS.flatMap((width) => Object.entries(pages).map(([name, path]) => ({ language, width, name, path }))));
  const work = async () => {
    const contexts = new Map();
    while (jobs.length) {
      const { language, width, name, path } = jobs.shift();
      const key = `${language} ${width}`;
      if (!contexts.has(key)) {
        const context = await browser.newContext({ viewport: { width, height: 900 }, locale: language, reducedMotion: "reduce" });
        await context.addInitScript({ content: axe });
        contexts.set(key, context);
      }
      const label = `${name} ${language} ${width}`;
      const page = watch(await contexts.get(key).newPage(), label);
      try {
        await page.goto(`${base}${path}${path.includes("?") ? "&" : "?"}language=${language}`);
        await settled(page);
        for (const theme of THEMES) {
          await page.evaluate((theme) => { document.documentElement.dataset.theme = theme; }, theme);
          await check(page, `${label} ${theme}`);
          if (language === "en" || theme === "light") await screenshot(page, `${name}-${language}-${width}-${theme}.png`);
        }
      } catch (error) {
        fail(`${label}: ${error.message}`);
      }
      await page.close();
    }
    for (const context of contexts.values()) await context.close();
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
}

/** Without a token nobody sees more than what is published; the start link opens once, and what is empty says so. */
async function entrance(browser) {
  writeFileSync(join(folder, "posts.ndjson"), '{"id":"1","author":"a","created_at":"2026-01-05T00:00:00Z","text":"#flu"}\n');
  writeFileSync(join(folder, "pumphandle.toml"), '[journal]\ndata = "entrance"\n\n[web]\nlisten = "127.0.0.1:0"\n\n[[feeds]]\nname = "file"\nkind = "file"\npath = "posts.ndjson"\nfollow = true\n');
  await start(["run", "--config", "pumphandle.toml"], /(no token has been made)/);
  const link = readFileSync(join(folder, "entrance", "start-link"), "utf8").split("\n")[0];
  const base = new URL(link).origin;
  const context = await browser.newContext({ viewport: { width: 360, height: 800 }, locale: "en" });
  await context.addInitScript({ content: axe });
  const page = watch(await context.newPage(), "entrance");
  await page.goto(`${base}/`);
  await page.locator("#token").waitFor();
  await check(page, "entrance, nobody");
  const status = await page.evaluate(async () => (await fetch("/api/v1/public?region=001")).status);
  if (status !== 200) fail(`entrance: published days were answered with ${status}`);
  const before = problems.length;
  const refused = await page.evaluate(async () => (await fetch("/api/v1/alerts")).status);
  if (refused !== 401) fail(`entrance: alerts were answered with ${refused}`);
  problems.splice(before, problems.length - before, ...problems.slice(before).filter((words) => !words.includes("401")));
  errors = problems.filter((words) => / (console|error): /.test(words)).length;
  await page.goto(link);
  await page.locator("h1", { hasText: "Inbox" }).waitFor();
  if (page.url().includes("#")) fail("entrance: the secret stays in the address");
  await page.locator(".nothing").waitFor();
  await check(page, "entrance, empty inbox");
  await screenshot(page, "empty-en-360-light.png");
  const second = await browser.newContext();
  const again = await second.newPage();
  await again.goto(link);
  await again.locator("[role=alert]").waitFor();
  log("the start link opened once");
  await context.close();
  await second.close();
}

mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
try {
  const { found: address } = await start(["demo", "--listen", "127.0.0.1:0", "--data", "demo", "--speed", "60"], /page="?(http:\/\/[\d.:]+)/);
  const base = address.replace(/\/$/, "");
  log(`the demo serves ${base}`);
  const id = await live(browser, base);
  await keyboard(browser, base);
  await subscribe(browser, base);
  const pages = { inbox: "/", alert: `/alerts/${encodeURIComponent(id)}`, explorer: "/explorer", series: "/series?topic=fever&region=DE", topics: "/topics", sources: "/sources", below: "/below", subscriptions: "/subscriptions", public: "/public", "public-place": "/public/US", "sign-in": "/sign-in" };
  await published(browser, base);
  await all(browser, base, pages);
  await entrance(browser);
  console.log(`${Object.keys(pages).length} pages × ${LANGUAGES.length} languages × ${THEMES.length} themes × ${WIDTHS.length} widths: ${checked} checked, axe violations ${violations}, console errors ${errors}; screenshots in ${shots}; ${((Date.now() - began) / 1000).toFixed(0)} s`);
} catch (error) {
  fail(error.stack);
} finally {
  await browser.close();
  for (const child of children) child.kill("SIGINT");
  await Promise.all(children.map((child) => child.exitCode !== null || new Promise((done) => { child.on("exit", done); setTimeout(() => { child.kill("SIGKILL"); done(); }, 15_000); })));
  rmSync(folder, { recursive: true, force: true });
}
for (const words of problems.slice(0, 60)) console.error(words);
if (problems.length) {
  console.error(`${problems.length} problems`);
  process.exit(1);
}
