// A check is a name and a function that throws. Prints a line for each and, at the end, how many passed.
import { createRequire } from "node:module";
import { join } from "node:path";

const { LRS_URL, LRS_KEY, LRS_SECRET, CLIENTS_HOME } = process.env;
for (const [name, value] of Object.entries({ LRS_URL, LRS_KEY, LRS_SECRET, CLIENTS_HOME })) {
  if (!value) throw new Error(`${name} is not set; start the checks with tests/clients/run`);
}

export const lrs = { url: LRS_URL, key: LRS_KEY, secret: LRS_SECRET };
export const requireClient = createRequire(join(CLIENTS_HOME, "package.json"));

export async function run(client, checks) {
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      console.log(`ok      ${client}: ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${client}: ${name}\n        ${String(error?.stack ?? error).replaceAll("\n", "\n        ")}`);
    }
  }
  console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}
