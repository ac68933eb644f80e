// Clients that connect again by themselves, at work until standard input ends. The first failure ends the program.

import { once } from "node:events";
import { createInterface } from "node:readline";
import Redis from "ioredis";
import { createClient } from "redis";

const input = createInterface({ input: process.stdin });
const { path, prefix } = JSON.parse((await once(input, "line"))[0]);
let working = true;
input.on("close", () => (working = false));

const login = { username: "app", password: "any" };
const libraries = {
  ioredis: {
    create: () => new Redis({ path, ...login, lazyConnect: true, retryStrategy: () => 1 }),
    number: (client) => client.client("ID"),
    end: (client, number) => client.client("KILL", "ID", number),
    close: (client) => client.quit(),
  },
  node_redis: {
    create: () => createClient({ socket: { path, reconnectStrategy: () => 1 }, ...login }),
    number: (client) => client.clientId(),
    end: (client, number) => client.sendCommand(["CLIENT", "KILL", "ID", `${number}`]),
    close: (client) => client.close(),
  },
};

const times = (count, ask) => Promise.all(Array.from({ length: count }, ask));

/** Commands on a connection that stays, on new ones, and on one that is lost in each round and made again. */
async function work(name) {
  const { create, number, end, close } = libraries[name];
  const open = async () => {
    const client = create();
    client.on("error", (error) => {
      if (error.message !== "Socket closed unexpectedly") throw error; // that is the one which is lost
    });
    await client.connect();
    return client;
  };
  const [steady, lost] = [await open(), await open()];
  const first = await number(steady);
  let [rounds, reconnected] = [0, 0];
  while (working) {
    const fresh = await open();
    await Promise.all([times(20, () => steady.incr(prefix)), times(20, () => fresh.incr(prefix))]);
    const before = await number(lost);
    const gone = new Promise((resolve) => lost.once("reconnecting", resolve));
    await end(fresh, before);
    await gone;
    // Asked while there is no connection, and answered by the next one.
    const [after] = await Promise.all([number(lost), times(10, () => lost.incr(prefix))]);
    reconnected += after !== before;
    await close(fresh);
    rounds += 1;
    await steady.incr(prefix + name);
  }
  const stayed = (await number(steady)) === first;
  await Promise.all([steady, lost].map(close));
  return [name, { rounds, reconnected, stayed }];
}

const results = await Promise.all(Object.keys(libraries).map(work));
process.stdout.write(JSON.stringify(Object.fromEntries(results)));
