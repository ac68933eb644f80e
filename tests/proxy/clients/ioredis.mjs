// What applications do, with ioredis.

import { readFileSync } from "node:fs";
import Redis from "ioredis";
import { BINARY, LARGE, MANY, described, digest, perform, range, told, until } from "./program.mjs";

/** One connection, that is not made again if it ends. */
async function open(way, protocol, options = {}) {
  const address = way.path ? { path: way.path } : { host: way.host, port: way.port };
  const client = new Redis({
    ...address,
    tls: way.ca_file ? { ca: readFileSync(way.ca_file) } : undefined,
    username: "app",
    password: way.password,
    lazyConnect: true,
    retryStrategy: null,
    ...options,
  });
  let first = null;
  client.on("error", (error) => (first ??= error));
  await client.connect().catch((error) => {
    throw first ?? error;
  });
  return client;
}

const steps = {
  async login({ client, open, password }) {
    const refused = [
      await told(open({ username: "legacy", password: "wrong" })),
      await told(open({ username: undefined, password: undefined })),
    ];
    return [await client.ping(), await client.acl("WHOAMI"), await client.auth("app", password), refused];
  },

  async name({ client, key }) {
    const before = described(await client.client("INFO"));
    await client.client("SETNAME", key("shop"));
    return [before, await client.client("GETNAME"), described(await client.client("INFO"))];
  },

  async values({ client, key }) {
    return [
      await client.set(key("a"), "hällo", "EX", 100),
      await client.set(key("a"), "x", "NX"),
      await client.mset(new Map([[key("b"), 1]])),
      await client.mget(key("a"), key("none"), key("b")),
      await client.incrbyfloat(key("c"), 0.5),
      await client.hset(key("h"), { one: 1, two: 2 }),
      await client.hgetall(key("h")),
      await client.zadd(key("z"), 1.5, "one", 2, "two"),
      await client.zrange(key("z"), 0, -1, "WITHSCORES"),
      await client.xadd(key("x"), "1-1", "field", "value"),
      await client.xread("STREAMS", key("x"), "0"),
      await client.del(key("a"), key("none")),
    ];
  },

  async binary({ client, key }) {
    const name = Buffer.concat([Buffer.from(key("bin")), BINARY]);
    return [await client.set(name, BINARY), await client.append(name, BINARY), await client.getBuffer(name)];
  },

  async large({ client, key }) {
    await client.set(key("large"), LARGE);
    return [digest(await client.getBuffer(key("large"))), await client.unlink(key("large"))];
  },

  async pipeline({ client, key }) {
    const pipe = client.pipeline();
    for (const n of range(1000)) pipe.set(key("p"), n).get(key("p")).incr(key("n"));
    const unasked = await Promise.all(range(500).map((n) => client.echo(`${n}`)));
    return [digest(JSON.stringify(await pipe.exec())), unasked.every((answer, n) => answer === `${n}`)];
  },

  async transaction({ client, other, key }) {
    const answers = [
      await client.multi().set(key("t"), 1).incr(key("t")).get(key("t")).exec(),
      await client.multi().lpush(key("t"), "x").incr(key("t")).exec(),
      await told(client.multi().set(key("t"), 1).call("NOSUCH").exec()),
    ];
    for (const conflict of [false, true]) {
      await client.watch(key("t"));
      const found = await client.get(key("t"));
      if (conflict) await other.set(key("t"), "meanwhile");
      answers.push(await client.multi({ pipeline: true }).set(key("t"), `${found}0`).exec());
    }
    await client.multi({ pipeline: false });
    answers.push(await client.set(key("t"), "x"), await client.discard());
    return [answers, await client.get(key("t"))];
  },

  // Two listen to each other, and go on with commands of their own.
  async pubsub({ client, other, open, key }) {
    const [here, there] = await Promise.all([open(), open()]);
    const heard = { here: [], there: [] };
    for (const kind of ["message", "pmessage", "smessage"])
      here.on(`${kind}Buffer`, (...message) => heard.here.push([kind, ...message]));
    there.on("messageBuffer", (...message) => heard.there.push(message));
    const counts = [
      await here.subscribe(key("one"), key("two")),
      await here.psubscribe(key("pattern*")),
      await here.ssubscribe(key("shard")),
      await there.subscribe(key("three")),
    ];
    for (const n of range(20)) {
      const [to, from] = [other.publish(key("one"), n), client.publish(key("three"), BINARY)];
      counts.push(await to, await from, await client.incr(key("heard")));
    }
    await other.publish(key("pattern-x"), "by pattern");
    await other.spublish(key("shard"), "by shard");
    await until(() => heard.here.length === 22 && heard.there.length === 20);
    counts.push(await here.ping(), await told(here.get("x")));
    counts.push(await here.unsubscribe(key("two"), key("one")), await here.punsubscribe(key("pattern*")));
    counts.push(await here.sunsubscribe(key("shard")));
    counts.push(await here.get(key("heard")), await here.quit(), await there.quit());
    return [counts, heard];
  },

  async blocking({ client, other, key }) {
    const waiting = client.blpopBuffer(key("none"), key("queue"), 5);
    const shop = ` name=${key("shop")} `;
    await until(async () =>
      (await other.client("LIST")).split("\n").some((line) => line.includes(shop) && line.includes(" cmd=blpop ")),
    );
    const pushed = await other.rpush(key("queue"), BINARY, "more");
    return [pushed, await waiting, await client.blpop(key("queue"), 5), await client.blpop(key("queue"), 0.01)];
  },

  async scan({ client, key }) {
    await client.mset(new Map(range(300).map((n) => [key(`scan:${n}`), n])));
    const found = new Set();
    for await (const keys of client.scanStream({ match: key("scan:*"), count: 50 })) keys.forEach((k) => found.add(k));
    return found;
  },

  async scripts({ client, key }) {
    const lua = "return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1]), {false, 'x'}}";
    client.defineCommand("ours", { numberOfKeys: 1, lua });
    const answers = [await client.oursBuffer(key("lua"), BINARY), await client.ours(key("lua"), "again")];
    const sha = await client.script("LOAD", lua);
    return [answers, sha, await client.evalsha(sha, 1, key("lua"), "x"), await client.script("EXISTS", sha, "0")];
  },

  async errors({ client, key }) {
    await client.rpush(key("list"), "x");
    const commands = [
      ["GET", key("list")],
      ["NOSUCH", "x"],
      ["GET"],
      ["EVALSHA", "0".repeat(40), 0],
      ["EVAL", "return redis.error_reply('MINE this one')", 0],
      ["SELECT", 99],
      ["AUTH", "legacy", "wrong"],
      ["HELLO", 9],
      ["EXEC"],
    ];
    const answers = [];
    for (const command of commands) answers.push(await told(client.call(...command)));
    return [answers, await client.acl("WHOAMI")];
  },

  // The database says which of the keys that were read have changed, to a second connection.
  async tracking({ client, other, open, key }) {
    const listener = await open();
    const number = await listener.client("ID");
    const told = [];
    listener.on("message", (channel, changed) => told.push([channel, changed]));
    await listener.subscribe("__redis__:invalidate");
    const on = await client.client("TRACKING", "ON", "REDIRECT", number);
    await client.get(key("b"));
    await other.set(key("b"), "changed");
    await until(() => told.length);
    const after = await client.get(key("b"));
    return [on, told, after, await client.client("TRACKING", "OFF"), await listener.quit()];
  },

  async select({ client, open, key }) {
    const fifth = await open({ db: 5 });
    const answers = [await fifth.set(key("five"), 5), await client.get(key("five")), await client.select(5)];
    answers.push(await client.get(key("five")), await client.select(0), await client.get(key("b")));
    return [answers, await fifth.quit()];
  },

  async parallel({ client, open, key }) {
    const name = key("parallel");
    const clients = await Promise.all(range(MANY).map(() => open({ connectionName: name })));
    const work = (one, n) => Promise.all([one.set(name + n, n), one.get(name + n), one.client("GETNAME")]);
    const answers = await Promise.all(clients.map(work));
    const open_now = (await client.client("LIST")).split("\n").filter((line) => line.includes(` name=${name} `));
    return [answers, open_now.length, await Promise.all(clients.map((one) => one.quit()))];
  },

  async leave({ client, other }) {
    return [await client.quit(), other.disconnect()];
  },
};

await perform(open, steps);
