// Fails when the JavaScript and CSS of the first page grow over their budget, compressed.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BUDGET_BYTES = 250_000;
const manifest = JSON.parse(readFileSync("dist/.vite/manifest.json", "utf8"));

/** The files of a chunk and of all that it imports at once. */
function files(key, seen = new Set()) {
  if (seen.has(key)) return seen;
  seen.add(key);
  for (const each of manifest[key].imports ?? []) files(each, seen);
  return seen;
}

const gzipped = (file) => gzipSync(readFileSync(`dist/${file}`), { level: 9 }).length;
const entry = Object.keys(manifest).find((key) => manifest[key].isEntry);
// The first page is the list of DAGs: the entry and that page's own chunk.
const first = new Set([...files(entry), ...files("src/pages/Dags.tsx")]);
const sizes = [...first].map((key) => [manifest[key].file, gzipped(manifest[key].file)]);
const total = sizes.reduce((sum, [, size]) => sum + size, 0);
for (const [file, size] of sizes) process.stdout.write(`${String(size).padStart(9)}  ${file}\n`);
process.stdout.write(
  `${String(total).padStart(9)}  JavaScript of the first page, gzip; at most ${BUDGET_BYTES}\n`,
);
if (total > BUDGET_BYTES) process.exit(1);
