// BullMQ on Redis, completed jobs kept. REDIS_URL names the server; its keys are deleted at the end.
import { fileURLToPath } from "node:url";
import { Queue, Worker } from "bullmq";
import Redis from "ioredis";

import { main } from "./harness.mjs";

const name = "noop";
const prefix = "peer_bullmq";
const connect = () => new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null });

async function open() {
  const queue = new Queue(name, { connection: connect(), prefix });
  await queue.obliterate({ force: true });
  return {
    insert: (first, count) =>
      queue.addBulk(Array.from({ length: count }, (_, i) => ({ name: "noop", data: { number: first + i } }))),
    everythingEnded: async (jobs) => (await queue.getCompletedCount()) >= jobs,
    close: () => queue.obliterate({ force: true }),
  };
}

async function work(count) {
  new Worker(name, async () => count(), {
    connection: connect(),
    prefix,
    concurrency: Number(process.env.PEER_CONCURRENCY ?? 100),
  });
}

await main(fileURLToPath(import.meta.url), { open, work });
