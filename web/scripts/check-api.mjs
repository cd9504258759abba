// Fails when src/api/schema.d.ts is not what the OpenAPI document gives: `npm run api` makes it anew.
import { readFileSync } from "node:fs";
import openapiTS, { astToString, COMMENT_HEADER } from "openapi-typescript";

const made =
  COMMENT_HEADER + astToString(await openapiTS(new URL("../../scheduler/openapi.json", import.meta.url)));
const kept = readFileSync(new URL("../src/api/schema.d.ts", import.meta.url), "utf8");
if (made.trim() !== kept.trim()) {
  process.stderr.write("src/api/schema.d.ts does not match scheduler/openapi.json: npm run api\n");
  process.exit(1);
}
process.stdout.write("the client matches the OpenAPI document\n");
