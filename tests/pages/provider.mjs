// A real OpenID provider (npm oidc-provider) on another site than the service, and people who sign in to the pages through it.

import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import path from "node:path";
import process from "node:process";

const { PAGES_HOME, LRS_KEY, LRS_SECRET, PROGRESS_AUTH_ISSUER, PROGRESS_PUBLIC_URL, PROGRESS_PAGES_OIDC_CLIENT_ID, PROGRESS_PAGES_OIDC_CLIENT_SECRET } = process.env;
const { default: Provider } = await import(path.join(PAGES_HOME, "node_modules/oidc-provider/lib/index.js"));

const CALLBACK = "/admin/sign-in/oidc/callback";
const DEFAULT = "00000000-0000-4000-8000-000000000001";
const PEOPLE = {
  olga: { tid: DEFAULT, scope: "admin:*" },
  rita: { tid: DEFAULT, scope: "statements/read all/read" },
  nemo: { tid: DEFAULT },
};

const serve = async () => {
  const key = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" });
  const client = { client_id: PROGRESS_PAGES_OIDC_CLIENT_ID, client_secret: PROGRESS_PAGES_OIDC_CLIENT_SECRET, redirect_uris: [PROGRESS_PUBLIC_URL + CALLBACK],
    post_logout_redirect_uris: [`${PROGRESS_PUBLIC_URL}/admin/sign-in`] };
  const provider = new Provider(PROGRESS_AUTH_ISSUER, {
    clients: [client],
    jwks: { keys: [{ ...key, use: "sig", alg: "RS256" }] },
    cookies: { keys: ["for tests"] },
    pkce: { required: () => true },
    claims: { openid: ["sub", "tid", "scope"] },
    conformIdTokenClaims: false,
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...PEOPLE[id] }) }),
  });
  const { hostname, port } = new URL(PROGRESS_AUTH_ISSUER);
  const server = provider.listen(Number(port), hostname);
  await once(server, "listening");
  return server;
};

// `looked` looks at a page of the service as at every other; `check` counts.
export const throughProvider = async (browser, root, check, looked) => {
  const server = await serve();
  const away = async () => {
    server.closeAllConnections();
    await new Promise((done) => { server.close(done); });
  };
  // The provider's own pages would like a font from elsewhere.
  const open = async (javaScriptEnabled = true) => {
    const context = await browser.newContext({ javaScriptEnabled });
    const isHere = (url) => [root, PROGRESS_AUTH_ISSUER].includes(url.origin);
    await context.route((url) => !isHere(url), (route) => route.abort());
    return context.newPage();
  };
  const enter = async (page, name) => {
    await page.click("#provider");
    await page.fill("input[name=login]", name);
    await page.fill("input[name=password]", "whatever");
    await page.click("button[type=submit]");
  };
  // Signs in, agrees, and ends at the address that the browser is sent back to.
  const travel = async (page, name) => {
    await enter(page, name);
    await page.waitForSelector("text=Authorize");
    await page.click("button[type=submit]");
    await page.waitForURL((url) => url.origin === root);
  };
  // The same, but for the last step: answers the address instead of going there.
  const almost = async (page, name) => {
    await enter(page, name);
    await page.waitForSelector("text=Authorize");
    const { request } = page.context();
    let answer = await request.post(await page.getAttribute("form", "action"), { form: { prompt: "consent" }, maxRedirects: 0 });
    for (;;) {
      const address = new URL(answer.headers().location, PROGRESS_AUTH_ISSUER);
      if (address.origin === root) return address.href;
      answer = await request.get(address.href, { maxRedirects: 0 });
    }
  };

  // Somebody who runs the installation, without scripts: a link leads there, and the cookies come along from another site.
  const olga = await open(false);
  await olga.goto(`${root}/admin/jobs`);
  await travel(olga, "olga");
  check("the provider leads to where one wanted to go", olga.url() === `${root}/admin/jobs`, olga.url());
  await olga.goto(`${root}/admin`);
  check("an operator sees the overview", (await olga.textContent("body")).includes("operator of"));
  const all = (await olga.context().cookies()).filter((cookie) => cookie.domain === new URL(root).hostname);
  check("no script sees what is held", all.every((cookie) => cookie.httpOnly && cookie.sameSite === "Lax"), JSON.stringify(all));
  const held = all.filter((cookie) => cookie.name === "progress_session");
  const hint = all.filter((cookie) => cookie.path === "/admin/sign-out");
  check("only the session is held, and what signs out at the provider", held.length === 1 && hint.length === 1 && all.length === 2, JSON.stringify(all));
  // Out of both, still without a script: the provider asks whether that is meant, and sends the browser back.
  await olga.click("text=Sign out");
  await olga.click("button[value=yes]");
  await olga.waitForURL(`${root}/admin/sign-in`);
  await olga.click("#provider");
  check("the provider knows nobody any more", await olga.isVisible("input[name=password]"), olga.url());
  await olga.context().addCookies(held);
  await olga.goto(`${root}/admin`);
  check("signing out ends it", olga.url().includes("/sign-in"), olga.url());

  const rita = await open();
  await rita.goto(`${root}/admin`);
  await travel(rita, "rita");
  check("a reader is read only", (await rita.textContent("body")).includes("read only of"));
  const beyond = await rita.goto(`${root}/admin/jobs`);
  check("and opens nothing beyond", beyond.status() === 403, String(beyond.status()));

  const nemo = await open();
  const wrong = [];
  nemo.on("pageerror", (error) => wrong.push(String(error)));
  await nemo.goto(`${root}/admin`);
  await travel(nemo, "nemo");
  check("who has no role is told which claims are missing", (await nemo.textContent("#wrong")).includes("the claims scope and scp of your ID token"));
  await looked(nemo, "light", "sign-in-refused", wrong);

  const shy = await open();
  await shy.goto(`${root}/admin`);
  await shy.click("#provider");
  await shy.click("text=Cancel");
  await shy.waitForURL((url) => url.origin === root);
  check("who does not agree is told so", (await shy.textContent("#wrong")).includes("you did not agree to it"), shy.url());
  const forged = await shy.goto(`${root}${CALLBACK}?code=made-up&state=made-up`);
  check("nobody comes back who did not leave", forged.status() === 400, String(forged.status()));

  const [careless, thief] = [await open(), await open()];
  await careless.goto(`${root}/admin`);
  const address = await almost(careless, "olga");
  await thief.goto(`${root}/admin`);
  await thief.click("#provider");
  const stolen = await thief.goto(address);
  check("the address is worth nothing in another browser", stolen.status() === 400, String(stolen.status()));
  await careless.goto(address);
  check("and leads in where the sign-in was begun", careless.url() === `${root}/admin`, careless.url());
  const again = await careless.goto(address);
  check("but not twice", again.status() === 400, String(again.status()));

  const late = await open();
  await late.goto(`${root}/admin`);
  const last = await almost(late, "olga");
  await away();
  const refused = await late.goto(last);
  check("a provider that is away is told of", refused.status() === 503 && (await late.textContent("#wrong")).includes("does not answer"), String(refused.status()));
  await late.fill("#key", LRS_KEY);
  await late.fill("#secret", LRS_SECRET);
  await late.click("button.primary");
  await late.waitForURL(`${root}/admin`);
  check("and a key signs in meanwhile", await late.locator("h1").textContent() === "Overview");
};
