// The pictures of docs/tutorial.md: pages over a demonstration, as the tutorial makes it. Each has to show what its text says.

import { spawnSync } from "node:child_process";
import { mkdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import process from "node:process";

const need = createRequire(path.join(process.env.PAGES_HOME, "package.json"));
const { chromium } = need("playwright-core");

const { BIN, LRS_URL, LRS_KEY, LRS_SECRET, PAGES_BROWSER, TUTORIAL } = process.env;
const root = new URL(LRS_URL).origin;
mkdirSync(TUTORIAL, { recursive: true });

// Small, and still read with ease; of a page that is longer, this much is shown.
const WINDOW = { viewport: { width: 1080, height: 1600 }, deviceScaleFactor: 0.8 };
const HIGHEST = 700;
const LARGEST = 80 << 10;
const SMALLEST = 8 << 10;

const command = (...words) => {
  const { status, stdout, stderr } = spawnSync(BIN, words, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${words.join(" ")}: ${stdout} ${stderr}`);
  return stdout;
};

const failures = [];
const browser = await chromium.launch({ executablePath: PAGES_BROWSER, args: ["--no-sandbox"] });

// Somebody who signed in.
const signedIn = async (key, secret) => {
  const context = await browser.newContext({ ...WINDOW, colorScheme: "light" });
  const page = await context.newPage();
  await page.goto(`${root}/admin`);
  await page.fill("input[name=key]", key);
  await page.fill("input[name=secret]", secret);
  await page.keyboard.press("Enter");
  await page.waitForURL(`${root}/admin`);
  return page;
};

// Takes a picture of the page's content, if the page has this heading, these words, and so many rows.
const picture = async (page, name, { heading, words, rows = 0, highest = HIGHEST }) => {
  const fail = (why) => failures.push(`${name}: ${why}`);
  const title = await page.textContent("h1");
  if (title !== heading) fail(`the page is ${title}, not ${heading}`);
  const text = await page.textContent("main");
  for (const word of words) if (!text.includes(word)) fail(`nothing says ${word}`);
  const found = await page.locator("main tbody tr").count();
  if (found < rows) fail(`${found} rows, not ${rows}`);
  const file = path.join(TUTORIAL, `${name}.png`);
  const { x, y, width, height } = await page.locator("main").boundingBox();
  await page.screenshot({ path: file, clip: { x, y, width, height: Math.min(height, highest) } });
  const { size } = statSync(file);
  if (size < SMALLEST || size > LARGEST) fail(`${size} bytes are not between ${SMALLEST} and ${LARGEST}`);
  console.log(`${file}: ${size} bytes`);
};

command("demo", "seed", "--statements", "2000", "--months", "2", "--apply");
const made = JSON.parse(command("credentials", "create", "--tenant", "demo-1", "--label", "tutorial", "--scopes", "all admin:*", "--json"));
const login = Buffer.from(`${made.apiKey}:${made.secret}`).toString("base64");
const api = async (place) => (await fetch(`${root}/api/v1${place}`, { headers: { Authorization: `Basic ${login}` } })).json();
const { data: [attempt] } = await api("/attempts?filter[outcome]=passed&page[size]=1");

const operator = await signedIn(LRS_KEY, LRS_SECRET);
await picture(operator, "overview", { heading: "Overview", words: ["Health", "Statements, by day", "The ledger by months"], highest: 1275 });

const page = await signedIn(made.apiKey, made.secret);
await page.goto(`${root}/admin/statements`);
await picture(page, "statements", { heading: "Statements", words: ["Stored after"], rows: 10 });
await page.goto(`${root}/admin/learners/enrollments/${encodeURIComponent(attempt.enrollmentId)}/transcript`);
await picture(page, "transcript", { heading: "A transcript", words: ["As PDF", "passed"], rows: 1 });
await page.goto(`${root}/admin/people/erasures`);
await page.fill("#user", attempt.userId);
await page.click("text=Look what there is");
await page.waitForURL(/erasures\/plan$/u);
await picture(page, "erasure-plan", { heading: "An erasure: the plan", words: ["statements, hot", "Digest"], rows: 1 });

await browser.close();
for (const failure of failures) console.error(`failed: ${failure}`);
process.exit(failures.length === 0 ? 0 : 1);
