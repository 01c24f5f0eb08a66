// Every page as a person meets it: light, dark, right to left, on a phone, at 200 %, without scripts, and by keyboard alone.
// axe finds nothing, nothing breaks the content security policy, and no page is wider than its window.

import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import process from "node:process";

import { missed, tabTo } from "./keyboard.mjs";
import { throughProvider } from "./provider.mjs";

const need = createRequire(path.join(process.env.PAGES_HOME, "package.json"));
const { chromium } = need("playwright-core");
const axe = readFileSync(need.resolve("axe-core/axe.min.js"), "utf8");

const { LRS_URL, LRS_KEY, LRS_SECRET, PAGES_BROWSER, PICTURES } = process.env;
const root = new URL(LRS_URL).origin;
if (PICTURES) mkdirSync(PICTURES, { recursive: true });

let passed = 0;
const failures = [];
const check = (name, isSo, detail = "") => {
  if (isSo) passed += 1;
  else failures.push(`${name}${detail && `: ${detail}`}`);
};

const LOOKS = {
  light: { viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 360, height: 740 }, colorScheme: "light", hasTouch: true },
  // What is left of a small laptop's window when everything is twice as large.
  large: { viewport: { width: 640, height: 400 }, deviceScaleFactor: 2, colorScheme: "light" },
  plain: { viewport: { width: 1280, height: 900 }, javaScriptEnabled: false },
  rtl: { viewport: { width: 1280, height: 900 }, colorScheme: "light" },
};

const browser = await chromium.launch({ executablePath: PAGES_BROWSER, args: ["--no-sandbox"] });

// A window of its own; whatever a page violates or fails to load is kept.
const open = async (look, state) => {
  const context = await browser.newContext({ ...LOOKS[look], storageState: state });
  const page = await context.newPage();
  const wrong = [];
  // Of a page that is not there the console tells by itself, at its own time.
  page.on("console", (message) => { if (message.type() === "error" && !message.text().includes("status of 404")) wrong.push(message.text()); });
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("requestfailed", (request) => { if (!request.url().endsWith("/events")) wrong.push(`${request.url()} failed`); });
  page.on("request", (request) => { if (new URL(request.url()).origin !== root) wrong.push(`${request.url()} is elsewhere`); });
  return { context, page, wrong };
};

const signIn = async (page, key = LRS_KEY, secret = LRS_SECRET) => {
  await page.goto(`${root}/admin`);
  // A busy machine takes its time until the field that is to be typed into has the focus.
  await page.waitForFunction(() => document.activeElement instanceof HTMLInputElement);
  await page.keyboard.type(key);
  await page.keyboard.press("Tab");
  await page.keyboard.type(secret);
  await page.keyboard.press("Enter");
  await page.waitForURL(`${root}/admin`);
};

const picture = async (page, name) => {
  if (PICTURES) await page.screenshot({ path: path.join(PICTURES, `${name}.png`), fullPage: true });
};

const looked = async (page, look, name, wrong) => {
  const title = `${name} (${look})`;
  if (look === "rtl") await page.evaluate(() => { document.documentElement.dir = "rtl"; });
  if (look === "light") {
    const { count, wrong: lost } = await missed(page);
    check(`everything of ${name} is reached by keyboard, and shows it`, count > 0 && lost.length === 0, lost.join("; "));
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(`${title} is no wider than its window`, wide <= 0, `${wide} px`);
  check(`${title} has one heading of the first level`, await page.locator("h1").count() === 1);
  if (look !== "plain") {
    // The policy of the page holds for scripts of the page; the checker comes from outside of it.
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    const told = violations.map((one) => `${one.id} at ${one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ")}`);
    check(`${title} is accessible`, told.length === 0, told.join("; "));
  }
  check(`${title} breaks no policy and loads all`, wrong.length === 0, wrong.join("; "));
  wrong.length = 0;
  await picture(page, `${name}-${look}`);
};

// Signed in once by keyboard; all windows share that session.
const first = await open("light");
await first.page.goto(`${root}/admin/jobs`);
check("a stranger is asked to sign in", first.page.url() === `${root}/admin/sign-in?next=/admin/jobs`, first.page.url());
await looked(first.page, "light", "sign-in", first.wrong);
await signIn(first.page);
check("the keyboard signs in", await first.page.locator("h1").textContent() === "Overview");

// A statement whose every text would like to be code, and one from right to left.
const EXTENSIONS = "http://ghasi.io/xapi/extensions/";
const statement = "00000000-0000-4000-8000-0000000000aa";
const evil = "<img src=x onerror=alert(1)><script>alert(1)</script>";
const stored = await fetch(`${LRS_URL.replace(/\/$/u, "")}/statements`, {
  method: "POST",
  headers: { Authorization: `Basic ${btoa(`${LRS_KEY}:${LRS_SECRET}`)}`, "Content-Type": "application/json", "X-Experience-API-Version": "1.0.3" },
  body: JSON.stringify([
    { id: statement, actor: { name: evil, mbox: "mailto:evil@example.org" }, verb: { id: "http://example.org/did", display: { en: evil } },
      object: { id: "http://example.org/thing", definition: { name: { en: evil }, extensions: { "http://example.org/x": evil } } }, result: { response: evil } },
    { actor: { name: evil, mbox: "mailto:learner@example.org" }, verb: { id: "http://adlnet.gov/expapi/verbs/passed" }, object: { id: "http://example.org/unit" },
      context: {
        contextActivities: { grouping: [{ id: "http://example.org/course", definition: { name: { en: evil } } }] },
        extensions: Object.fromEntries([["attempt-id", "an attempt"], ["enrollment-id", "an enrollment"], ["course-id", evil], ["course-version-id", "1"]]
          .map(([name, value]) => [`${EXTENSIONS}${name}`, value])),
      } },
    { actor: { name: "\u0622\u062F\u0627", mbox: "mailto:ada@example.org" }, verb: { id: "http://example.org/did" }, object: { id: "http://example.org/other" } },
  ]),
});
check("a statement is stored", stored.status === 200, await stored.text());
// A document in whose name and content the same stands.
const about = new URLSearchParams({ activityId: "http://example.org/thing", agent: JSON.stringify({ mbox: "mailto:learner@example.org" }), stateId: evil });
const kept = await fetch(`${LRS_URL.replace(/\/$/u, "")}/activities/state?${about}`, {
  method: "PUT",
  headers: { Authorization: `Basic ${btoa(`${LRS_KEY}:${LRS_SECRET}`)}`, "Content-Type": "application/json", "If-None-Match": "*", "X-Experience-API-Version": "1.0.3" },
  body: JSON.stringify({ words: evil }),
});
check("a document is kept", kept.status === 204, await kept.text());
const folded = async () => {
  for (let tries = 0; tries < 300; tries += 1) {
    const answer = await first.page.goto(`${root}/admin/learners/enrollments/an%20enrollment`);
    if (answer.status() === 200) return true;
    await first.page.waitForTimeout(200);
  }
  return false;
};
check("an enrollment is there once its statement was read", await folded());
first.wrong.length = 0;

// A run that changes nothing makes a job to look at.
await first.page.goto(`${root}/admin/migrations`);
const dry = await tabTo(first.page, (seen) => seen.name === "mode" && seen.value === "dry");
check("the dry run is reached by Tab, and one sees where one is", dry?.outline === "solid" || dry?.outline === "auto", JSON.stringify(dry));
await first.page.keyboard.press("Enter");
await first.page.waitForURL(/\/admin\/jobs\//u);
await first.page.waitForFunction(() => document.querySelector("#live .state")?.textContent === "succeeded", null, { timeout: 60_000 });
check("a job is followed to its end without loading the page again", await first.page.locator("#live[data-events]").count() === 1);
const job = new URL(first.page.url()).pathname;
first.wrong.length = 0;

// Somebody is erased by keyboard alone, from the form over the plan to the receipt.
await first.page.goto(`${root}/admin/people/erasures`);
check("the identifiers are reached by Tab", await tabTo(first.page, (seen) => seen.name === "identifiers") !== null);
await first.page.keyboard.type("mailto:ada@example.org");
await tabTo(first.page, (seen) => seen.text.startsWith("Look what there is"));
await first.page.keyboard.press("Enter");
await first.page.waitForURL(/erasures\/plan$/u);
check("the plan says what there is", (await first.page.textContent("main")).includes("statements, hot"));
await tabTo(first.page, (seen) => seen.name === "confirm");
await first.page.keyboard.type("erase");
await first.page.keyboard.press("Enter");
await first.page.waitForURL(/\/admin\/people\/erasures\/[0-9a-f-]+/u);
await first.page.waitForFunction(() => document.querySelector("#live .state")?.textContent === "erased", null, { timeout: 60_000 });
check("an erasure is followed to its receipt", await first.page.locator("text=Receipt as PDF").isVisible());
const erasure = new URL(first.page.url()).pathname;
first.wrong.length = 0;

// What comes is seen without a hand on the page.
await first.page.goto(`${root}/admin/statements?follow=true`);
check("nothing has come yet", await first.page.locator("text=came while it was followed").count() === 0);
const coming = await fetch(`${LRS_URL.replace(/\/$/u, "")}/statements`, {
  method: "POST",
  headers: { Authorization: `Basic ${btoa(`${LRS_KEY}:${LRS_SECRET}`)}`, "Content-Type": "application/json", "X-Experience-API-Version": "1.0.3" },
  body: JSON.stringify({ actor: { mbox: "mailto:comes@example.org" }, verb: { id: "http://example.org/came", display: { en: "came while it was followed" } }, object: { id: "http://example.org/other" } }),
});
check("a statement comes", coming.status === 200, await coming.text());
await first.page.waitForSelector("#live >> text=came while it was followed", { timeout: 60_000 });
check("what comes is shown by itself", await first.page.locator("text=Stand still").isVisible());
first.wrong.length = 0;

// A tenant is taken along by keyboard alone, from the choice over the plan to the file.
await first.page.goto(`${root}/admin/exports`);
check("a kind is reached by Tab", await tabTo(first.page, (seen) => seen.name === "kind" && seen.value === "credentials") !== null);
await first.page.keyboard.press("Space");
await tabTo(first.page, (seen) => seen.text.startsWith("See the plan"));
await first.page.keyboard.press("Enter");
await first.page.waitForURL(/exports\/plan/u);
check("the plan has what was chosen", /statements, documents(?!.*credentials)/u.test(await first.page.textContent("main dl")));
await tabTo(first.page, (seen) => seen.text === "make it");
const [taken] = await Promise.all([first.page.waitForEvent("download"), first.page.keyboard.press("Enter")]);
check("the export comes as a file", taken.suggestedFilename() === "export-default.zip" && await taken.failure() === null, taken.suggestedFilename());
check("and it is a zip with its end", readFileSync(await taken.path()).subarray(-22, -18).toString("latin1") === "PK\u0005\u0006");
first.wrong.length = 0;

// A launch is made by keyboard alone, its secret shown once, and revoked.
await first.page.goto(`${root}/admin/access/launches`);
check("a learner is reached by Tab", await tabTo(first.page, (seen) => seen.name === "identifiers") !== null);
await first.page.keyboard.type(`http://lms.example|${evil}`);
await first.page.keyboard.press("Tab");
await first.page.keyboard.type("00000000-0000-4000-8000-0000000000c1");
await tabTo(first.page, (seen) => seen.text.startsWith("See the plan"));
await first.page.keyboard.press("Enter");
await first.page.waitForURL(/launches\/plan$/u);
check("the plan says for how long", (await first.page.textContent("main")).includes("4 hours"));
await tabTo(first.page, (seen) => seen.text === "make it");
await first.page.keyboard.press("Enter");
await first.page.waitForSelector("#secret");
check("the secret is shown", (await first.page.textContent("#secret")).length > 30);
await looked(first.page, "light", "launch-secret", first.wrong);
await tabTo(first.page, (seen) => seen.text === "Back to the list");
await first.page.keyboard.press("Enter");
await first.page.waitForURL(/launches\?tenant=/u);
await tabTo(first.page, (seen) => seen.text.startsWith("Revoke"));
await first.page.keyboard.press("Enter");
await first.page.waitForURL(/\/revoke\?/u);
await tabTo(first.page, (seen) => seen.name === "confirm");
await first.page.keyboard.type("revoke");
await first.page.keyboard.press("Enter");
await first.page.waitForURL(/done=revoked/u);
check("a launch is revoked by keyboard", await first.page.locator(".state.revoked").count() === 1);
first.wrong.length = 0;

await first.page.goto(`${root}/admin/documents`);
const keptAt = await first.page.locator("main tbody a").first().getAttribute("href");

// Plans that come of a form: each is looked at as every page is, and then left as it is.
const forms = [
  ["erasure-plan", "/admin/people/erasures", async (page) => {
    await page.fill("#identifiers", `mailto:evil@example.org\nhttp://x.example|${evil}`);
    await page.click("text=Look what there is");
  }],
  ["hold-plan", "/admin/people/holds", async (page) => {
    await page.fill("#identifiers", "mailto:evil@example.org");
    await page.fill("#law", evil);
    await page.fill("#reason", evil);
    await page.click("text=See the plan");
  }],
  ["rule-plan", "/admin/people/retention", async (page) => {
    await page.fill("input[name=delete]", "1d");
    await page.click("text=See what it comes to >> nth=0");
  }],
  ["rollout-plan", "/admin/migrations/rollouts", async (page) => {
    await page.fill("#plan", `format = 1\nname = "writes"\nabout = "for a look"\n[[steps]]\nname = "all"\nkind = "switch"\nflag = "xapi.writes"\nvalue = "on"\n`);
    await page.click("text=See the plan");
    await page.waitForSelector("text=Begin it");
  }],
  ["rollout-faults", "/admin/migrations/rollouts", async (page) => {
    await page.fill("#plan", "format = 1\nname = 'Writes'");
    await page.click("text=See the plan");
    await page.waitForSelector("text=It cannot be begun");
  }],
  ["launch-plan", "/admin/access/launches", async (page) => {
    await page.fill("#learner", `http://x.example|${evil}`);
    await page.fill("#of", "00000000-0000-4000-8000-0000000000c1");
    await page.fill("#activity", "http://example.org/unit");
    await page.click("text=See the plan");
  }],
  ["credential-plan", "/admin/access", async (page) => {
    await page.fill("#label", evil);
    await page.check("input[value='statements/read']");
    await page.click("text=See the plan >> nth=0");
  }],
  ["settings-plan", "/admin/access", async (page) => {
    await page.check("input[name=strict]");
    await page.click("text=See the plan >> nth=1");
  }],
  ["tenant-plan", "/admin/access", async (page) => {
    await page.fill("#name", "acme");
    await page.click("text=See the plan >> nth=2");
  }],
  ["flag-plan", "/admin/flags", async (page) => {
    await page.selectOption("select[name=name]", "xapi.writes");
    await page.fill("input[name=value]", "off");
    await page.click("text=See the plan");
  }],
];

const pages = [["overview", "/admin"], ["jobs", "/admin/jobs"], ["job", job], ["migrations", "/admin/migrations"], ["verify", "/admin/migrations/verify"], ["tried", "/admin/migrations/tried"], ["statements", "/admin/statements"], ["statement", `/admin/statements/${statement}`], ["audit", "/admin/audit"], ["access", "/admin/access"], ["launches", "/admin/access/launches"],
  ["months", "/admin/months"], ["months-plan", "/admin/months/all/verify"], ["backups", "/admin/backups"], ["backup-plan", "/admin/backups/make"],
  ["backfills", "/admin/migrations/backfills"], ["rollouts", "/admin/migrations/rollouts"], ["flags", "/admin/flags"],
  ["retention", "/admin/people/retention"], ["retention-plan", "/admin/people/retention/plan?older=1d"], ["holds", "/admin/people/holds"],
  ["erasures", "/admin/people/erasures"], ["erasure", erasure], ["export", "/admin/people/export"], ["exports", "/admin/exports"], ["residency", "/admin/people/residency"], ["exports-plan", "/admin/exports/plan?kind=statements&kind=documents&since=2026-01-01T00:00:00Z"], ["audit-plan", "/admin/audit/verify"],
  ["learners", "/admin/learners"], ["documents", "/admin/documents"], ["document", keptAt], ["enrollment", "/admin/learners/enrollments/an%20enrollment"],
  ["transcript", "/admin/learners/enrollments/an%20enrollment/transcript"], ["nothing", "/admin/nothing"]];
const state = await first.context.storageState();
for (const look of Object.keys(LOOKS)) {
  const { context, page, wrong } = await open(look, state);
  for (const [name, place] of pages) {
    const started = Date.now();
    const answer = await page.goto(root + place);
    const bytes = (await answer.body()).length;
    check(`${name} answers`, answer.status() === (name === "nothing" ? 404 : 200), String(answer.status()));
    check(`${name} is small`, bytes <= 100_000, `${bytes} bytes in ${Date.now() - started} ms`);
    await looked(page, look, name, wrong);
  }
  for (const [name, place, fill] of forms) {
    await page.goto(root + place);
    await fill(page);
    await page.waitForSelector("form.card >> text=/^(The|A) plan$/");
    await looked(page, look, name, wrong);
  }
  if (look === "plain") {
    await page.goto(`${root}/admin`);
    await page.click("summary");
    check("a table opens without a script", await page.locator("details[open] table").isVisible());
    await page.goto(`${root}/admin/migrations`);
    await page.fill("#confirm", "no");
    await page.click("button[value=run]");
    await page.waitForSelector("main.alone");
    check("a wrong confirmation is told of without a script", (await page.textContent("main")).includes("type migrate to confirm"));
  }
  await context.close();
}

// The skip link comes first, and leads to the content.
await first.page.goto(`${root}/admin`);
await first.page.keyboard.press("Tab");
await first.page.keyboard.press("Enter");
check("the content is one key away", await first.page.evaluate(() => document.activeElement.id) === "main");

// A frame of another site shows nothing, and a script that somebody slips in does not run.
await first.page.goto(`${root}/admin`);
first.wrong.length = 0;
await first.page.evaluate(() => {
  const frame = document.createElement("iframe");
  frame.src = "/admin/jobs";
  document.body.append(frame);
  const script = document.createElement("script");
  script.textContent = "globalThis.ran = true";
  document.body.append(script);
  document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='globalThis.ran = true'>");
});
await first.page.waitForTimeout(300);
check("nothing that is slipped in runs", !(await first.page.evaluate(() => globalThis.ran)));
check("and the browser says why", first.wrong.some((text) => text.includes("Content Security Policy")), first.wrong.join("; "));

// Signing out by keyboard ends it for every window.
await first.page.goto(`${root}/admin`);
await tabTo(first.page, (seen) => seen.text === "Sign out");
await first.page.keyboard.press("Enter");
await first.page.waitForURL(`${root}/admin/sign-in`);
const late = await open("light", state);
await late.page.goto(`${root}/admin`);
check("a copy of the cookie is worth nothing afterwards", late.page.url().includes("/sign-in"), late.page.url());

await throughProvider(browser, root, check, looked);

await browser.close();
for (const failure of failures) console.error(`failed: ${failure}`);
console.log(`${passed} passed, ${failures.length} failed`);
process.exit(failures.length === 0 ? 0 : 1);
