// What the programs for Node.js share: how they are told the ways to the database, and say what they
// were told. The numbers and values are those of way.py.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

export const BINARY = Buffer.concat([
  Buffer.from(Array.from({ length: 256 }, (_, n) => n)),
  Buffer.from("\r\n$3\r\n*1\r\n-ERR\r\n+OK\r\n\xff\xfe", "latin1"),
]);
export const LARGE = Buffer.concat(Array(16 * 1024).fill(BINARY.subarray(0, 256)));
export const MANY = 12;
const PATIENCE = 10_000;

/** Read ways as JSON, walk through the steps on each at the same time, and print their names and answers as JSON. */
export async function perform(open, steps) {
  const { ways, protocol } = JSON.parse(readFileSync(0, "utf8"));
  const results = await Promise.all(ways.map((way) => walk(way, protocol, open, steps)));
  // ioredis's parser keeps a process with large values alive for two seconds, to give memory back in small steps.
  process.stdout.write(JSON.stringify(results), () => process.exit());
}

async function walk(way, protocol, open, steps) {
  const scene = {
    protocol,
    password: way.password,
    key: (name) => way.prefix + name,
    open: (options) => open(way, protocol, options),
  };
  scene.client = await scene.open();
  scene.other = await scene.open();
  const results = [];
  for (const [name, step] of Object.entries(steps)) results.push([name, plain(await step(scene))]);
  return results;
}

/** An answer in JSON's types: bytes as the characters of their numbers, errors as their texts. */
function plain(answer) {
  if (answer instanceof Error) return `${answer.name}: ${answer.message}`;
  if (Buffer.isBuffer(answer)) return answer.toString("latin1");
  if (answer instanceof Set) return [...answer].map(plain).sort();
  if (Array.isArray(answer)) return answer.map(plain);
  if (answer instanceof Map) return plain(Object.fromEntries(answer));
  if (answer !== null && typeof answer === "object")
    return Object.fromEntries(Object.entries(answer).map(([key, value]) => [key, plain(value)]));
  return answer ?? null;
}

/** What is answered, error or not. */
export const told = (answer) => answer.catch((error) => error);

export const range = (count) => Array.from({ length: count }, (_, n) => n);

export const digest = (value) => `${value.length} ${createHash("sha256").update(value).digest("hex")}`;

/** Ask until the answer is true. */
export async function until(question) {
  const end = Date.now() + PATIENCE;
  while (!(await question())) {
    if (Date.now() > end) throw new Error(`not within ${PATIENCE} ms: ${question}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** The fields of CLIENT INFO that have a meaning and are no numbers of the connection. */
export function described(info) {
  const fields = Object.fromEntries(info.trim().split(" ").map((field) => field.split("=")));
  return ["name", "db", "user", "resp", "flags", "sub", "multi", "cmd"].map((field) => [field, fields[field]]);
}
