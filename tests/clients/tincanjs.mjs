// TinCanJS, the library most course authoring tools ship: 1.0.x, callbacks, attachments on the way in.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { lrs, requireClient, run } from "./check.mjs";

const TinCan = requireClient("tincanjs");
TinCan.DEBUG = false;

const store = new TinCan.LRS({ endpoint: `${lrs.url}/`, username: lrs.key, password: lrs.secret, allowFail: false });
const word = randomUUID();
const verb = `http://clients.example/verbs/${word}`;
const agent = new TinCan.Agent({ mbox: `mailto:${word}@clients.example`, name: "Ada" });
const activity = new TinCan.Activity({ id: `http://clients.example/activities/${word}` });

// The library calls back with (error, result); the error is a status or an object of the request.
const call = (method, ...given) =>
  new Promise((resolve, reject) => {
    const options = given.pop();
    const callback = (error, result) => (error ? reject(new Error(`${method}: ${result?.responseText ?? error}`)) : resolve(result));
    store[method](...given, { ...options, callback });
  });

const statement = (more = {}) => new TinCan.Statement({ actor: agent, verb: { id: verb }, object: activity, ...more });

await run("tincanjs", {
  "about lists the version it speaks": async () => {
    const about = await call("about", {});
    assert.ok(about.version.includes(store.version) || about.version.some((version) => version.startsWith("1.0.")));
  },
  "a statement is saved and read back": async () => {
    const sent = statement({ result: { score: { scaled: 0.75 }, success: true, duration: "PT1M" } });
    await call("saveStatement", sent, {});
    const read = await call("retrieveStatement", sent.id, {});
    assert.equal(read.id, sent.id);
    assert.equal(read.actor.mbox, agent.mbox);
    assert.equal(read.verb.id, verb);
    assert.equal(read.result.score.scaled, 0.75);
    assert.ok(read.stored);
  },
  "pages are followed by more": async () => {
    const paged = `${verb}/paged`;
    const sent = [1, 2, 3, 4, 5].map(() => statement({ verb: { id: paged } }));
    await call("saveStatements", sent, {});
    let page = await call("queryStatements", { params: { verb: new TinCan.Verb({ id: paged }), limit: 2 } });
    const ids = page.statements.map((one) => one.id);
    let pages = 1;
    while (page.more) {
      page = await call("moreStatements", { url: page.more });
      ids.push(...page.statements.map((one) => one.id));
      pages += 1;
    }
    assert.equal(pages, 3);
    assert.deepEqual(ids, sent.map((one) => one.id).reverse());
  },
  "a voided statement is found only as voided": async () => {
    const sent = statement();
    await call("saveStatement", sent, {});
    const voiding = new TinCan.Statement({ actor: agent, verb: { id: "http://adlnet.gov/expapi/verbs/voided" }, object: { objectType: "StatementRef", id: sent.id } });
    await call("saveStatement", voiding, {});
    await assert.rejects(call("retrieveStatement", sent.id, {}), /404|no statement/);
    assert.equal((await call("retrieveVoidedStatement", sent.id, {})).id, sent.id);
  },
  "a state is saved, read, replaced and dropped": async () => {
    const place = { agent, activity, registration: randomUUID() };
    await call("saveState", "bookmark", { page: 1 }, { ...place, contentType: "application/json" });
    assert.deepEqual((await call("retrieveState", "bookmark", place)).contents, { page: 1 });
    await call("saveState", "bookmark", { page: 2 }, { ...place, contentType: "application/json" });
    assert.deepEqual((await call("retrieveState", "bookmark", place)).contents, { page: 2 });
    await call("dropState", "bookmark", place);
    assert.equal(await call("retrieveState", "bookmark", place), null);
  },
  "an agent profile is replaced only by who has seen it": async () => {
    await call("saveAgentProfile", "settings", { volume: 1 }, { agent, contentType: "application/json" });
    // The library calls it a SHA-1 and sends it as it is, so it has to be the whole ETag, with its quotes.
    const seen = await call("retrieveAgentProfile", "settings", { agent });
    assert.deepEqual(seen.contents, { volume: 1 });
    await call("saveAgentProfile", "settings", { volume: 2 }, { agent, contentType: "application/json", lastSHA1: seen.etag });
    assert.deepEqual((await call("retrieveAgentProfile", "settings", { agent })).contents, { volume: 2 });
    const stale = { agent, contentType: "application/json", lastSHA1: seen.etag };
    await assert.rejects(call("saveAgentProfile", "settings", { volume: 3 }, stale));
    await call("dropAgentProfile", "settings", { agent });
  },
  "an activity profile is read back as text": async () => {
    await call("saveActivityProfile", "notes", "plain words", { activity, contentType: "text/plain" });
    assert.equal((await call("retrieveActivityProfile", "notes", { activity })).contents, "plain words");
  },
  "an attachment comes back byte for byte": async () => {
    const attachment = { usageType: "http://clients.example/attachments/note", display: { en: "A note" }, contentType: "text/plain", content: `a note: ${word}` };
    const sent = statement({ attachments: [attachment] });
    await call("saveStatement", sent, {});
    const read = await call("retrieveStatement", sent.id, { params: { attachments: true } });
    assert.equal(read.attachments[0].sha2, sent.attachments[0].sha2);
    assert.equal(read.attachments[0].getContentAsString(), `a note: ${word}`);
  },
});
