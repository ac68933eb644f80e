// What applications do, with node-redis, in RESP2 and RESP3.

import { readFileSync } from "node:fs";
import { BasicClientSideCache, RESP_TYPES, createClient, defineScript } from "redis";
import { BINARY, LARGE, MANY, described, digest, perform, range, told, until } from "./program.mjs";

const BYTES = { [RESP_TYPES.BLOB_STRING]: Buffer };
const LUA = "return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1]), {false, 'x'}}";

const ours = defineScript({
  SCRIPT: LUA,
  NUMBER_OF_KEYS: 1,
  parseCommand(parser, key, value) {
    parser.pushKey(key);
    parser.push(value);
  },
  transformReply: undefined,
});

/** One connection, that is not made again if it ends. */
async function open(way, protocol, options = {}) {
  const address = way.path ? { path: way.path } : { host: way.host, port: way.port };
  const tls = way.ca_file ? { tls: true, ca: readFileSync(way.ca_file) } : {};
  const client = createClient({
    socket: { ...address, ...tls, reconnectStrategy: false },
    username: "app",
    password: way.password,
    RESP: protocol,
    scripts: { ours },
    ...options,
  });
  client.on("error", () => {}); // it is what connect() or the command says, too
  return client.connect();
}

const steps = {
  async login({ client, open, password }) {
    const refused = [
      await told(open({ username: "legacy", password: "wrong" })),
      await told(open({ username: undefined, password: undefined }).then((nobody) => nobody.get("x"))),
    ];
    const again = await client.auth({ username: "app", password });
    return [await client.ping(), await client.aclWhoAmI(), again, refused];
  },

  async name({ client, key }) {
    const before = described(await client.sendCommand(["CLIENT", "INFO"]));
    await client.clientSetName(key("shop"));
    return [before, await client.clientGetName(), described(await client.sendCommand(["CLIENT", "INFO"]))];
  },

  async values({ client, key }) {
    return [
      await client.set(key("a"), "hällo", { EX: 100 }),
      await client.set(key("a"), "x", { NX: true }),
      await client.mSet([[key("b"), "1"]]),
      await client.mGet([key("a"), key("none"), key("b")]),
      await client.incrByFloat(key("c"), 0.5),
      await client.hSet(key("h"), { one: 1, two: 2 }),
      await client.hGetAll(key("h")),
      await client.zAdd(key("z"), [{ score: 1.5, value: "one" }, { score: 2, value: "two" }]),
      await client.zRangeWithScores(key("z"), 0, -1),
      await client.xAdd(key("x"), "1-1", { field: "value" }),
      await client.xRange(key("x"), "-", "+"),
      await client.del([key("a"), key("none")]),
    ];
  },

  async binary({ client, key }) {
    const name = Buffer.concat([Buffer.from(key("bin")), BINARY]);
    const answers = [await client.set(name, BINARY), await client.append(name, BINARY)];
    return [answers, await client.withTypeMapping(BYTES).get(name)];
  },

  async large({ client, key }) {
    await client.set(key("large"), LARGE);
    return [digest(await client.withTypeMapping(BYTES).get(key("large"))), await client.unlink(key("large"))];
  },

  // Commands of one turn of the event loop go out together.
  async pipeline({ client, key }) {
    const asked = range(1000).flatMap((n) => [client.set(key("p"), `${n}`), client.get(key("p")), client.incr(key("n"))]);
    const pipe = client.multi();
    for (const n of range(1000)) pipe.echo(`${n}`);
    return [digest(JSON.stringify(await Promise.all(asked))), digest(JSON.stringify(await pipe.execAsPipeline()))];
  },

  async transaction({ client, other, key }) {
    const answers = [
      await client.multi().set(key("t"), "1").incr(key("t")).get(key("t")).exec(),
      (await told(client.multi().lPush(key("t"), "x").incr(key("t")).exec())).replies,
      await told(client.multi().set(key("t"), "1").addCommand(["NOSUCH"]).exec()),
    ];
    for (const conflict of [false, true]) {
      await client.watch(key("t"));
      const found = await client.get(key("t"));
      if (conflict) await other.set(key("t"), "meanwhile");
      answers.push(await told(client.multi().set(key("t"), `${found}0`).exec()));
    }
    return [answers, await client.get(key("t"))];
  },

  // Two listen to each other, and go on with commands of their own.
  async pubsub({ protocol, client, other, open, key }) {
    const [here, there] = await Promise.all([open(), open()]);
    const heard = { here: [], there: [] };
    const hear = (message, channel) => heard.here.push([channel, message]);
    await here.subscribe([key("one"), key("two")], hear);
    await here.pSubscribe(key("pattern*"), hear);
    await here.sSubscribe(key("shard"), hear);
    await there.subscribe(key("three"), (message, channel) => heard.there.push([channel, message]), true);
    const counts = [];
    for (const n of range(20)) {
      const [to, from] = [other.publish(key("one"), `${n}`), client.publish(key("three"), BINARY)];
      counts.push(await to, await from, await client.incr(key("heard")));
    }
    await other.publish(key("pattern-x"), "by pattern");
    await other.sPublish(key("shard"), "by shard");
    await until(() => heard.here.length === 22 && heard.there.length === 20);
    counts.push(await here.ping(), protocol === 3 ? await here.get(key("heard")) : null);
    await here.sUnsubscribe(key("shard"));
    await here.pUnsubscribe(key("pattern*"));
    await here.unsubscribe([key("two"), key("one")]);
    counts.push(await here.get(key("heard")), await here.close(), await there.close());
    return [counts, heard];
  },

  async blocking({ client, other, key }) {
    const waiting = client.withTypeMapping(BYTES).blPop([key("none"), key("queue")], 5);
    const names = async () => (await other.clientList()).filter(({ cmd }) => cmd === "blpop").map(({ name }) => name);
    await until(async () => (await names()).includes(key("shop")));
    const pushed = await other.rPush(key("queue"), [BINARY, "more"]);
    return [pushed, await waiting, await client.blPop(key("queue"), 5), await client.blPop(key("queue"), 0.01)];
  },

  async scan({ client, key }) {
    await client.mSet(range(300).map((n) => [key(`scan:${n}`), `${n}`]));
    const found = new Set();
    for await (const keys of client.scanIterator({ MATCH: key("scan:*"), COUNT: 50 })) keys.forEach((k) => found.add(k));
    return found;
  },

  async scripts({ client, key }) {
    const answers = [await client.withTypeMapping(BYTES).ours(key("lua"), BINARY), await client.ours(key("lua"), "x")];
    const sha = await client.scriptLoad(LUA);
    return [answers, sha, await client.evalSha(sha, { keys: [key("lua")], arguments: ["y"] })];
  },

  async errors({ client, key }) {
    await client.rPush(key("list"), "x");
    const commands = [
      ["GET", key("list")],
      ["NOSUCH", "x"],
      ["GET"],
      ["EVALSHA", "0".repeat(40), "0"],
      ["EVAL", "return redis.error_reply('MINE this one')", "0"],
      ["SELECT", "99"],
      ["AUTH", "legacy", "wrong"],
      ["HELLO", "9"],
      ["EXEC"],
    ];
    return [await Promise.all(commands.map((command) => told(client.sendCommand(command)))), await client.aclWhoAmI()];
  },

  // The database says which of the keys that were read have changed: by a push to the client's cache, or to a
  // second connection in RESP2.
  async tracking({ protocol, client, other, open, key }) {
    const changes = [];
    if (protocol === 3) {
      const clientSideCache = new BasicClientSideCache();
      clientSideCache.on("invalidate", (changed) => changes.push(changed));
      const cached = await open({ clientSideCache });
      const before = [await cached.get(key("b")), await cached.get(key("b"))];
      await other.set(key("b"), "changed");
      await until(() => changes.length);
      const after = [await cached.get(key("b")), await cached.get(key("b"))];
      return [before, changes, after, clientSideCache.stats().hitCount, await cached.close()];
    }
    const listener = await open();
    const number = await listener.clientId();
    await listener.subscribe("__redis__:invalidate", (changed) => changes.push(changed));
    const on = await client.clientTracking(true, { REDIRECT: number });
    await client.get(key("b"));
    await other.set(key("b"), "changed");
    await until(() => changes.length);
    return [on, changes, await client.get(key("b")), await client.clientTracking(false), await listener.close()];
  },

  async select({ client, open, key }) {
    const fifth = await open({ database: 5 });
    const answers = [await fifth.set(key("five"), "5"), await client.get(key("five"))];
    await client.select(5);
    answers.push(await client.get(key("five")));
    await client.select(0);
    return [answers, await client.get(key("b")), await fifth.close()];
  },

  async parallel({ client, open, key }) {
    const name = key("parallel");
    const clients = await Promise.all(range(MANY).map(() => open({ name })));
    const work = (one, n) => Promise.all([one.set(name + n, `${n}`), one.get(name + n), one.clientGetName()]);
    const answers = await Promise.all(clients.map(work));
    const now = (await client.clientList()).filter((entry) => entry.name === name);
    return [answers, now.length, await Promise.all(clients.map((one) => one.close()))];
  },

  async leave({ client, other }) {
    return [await client.quit(), await other.close()];
  },
};

await perform(open, steps);
