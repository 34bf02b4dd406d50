// graphile-worker on PostgreSQL, tuned for many short jobs: jobs are fetched 500 at a time and completed in batches.
// It deletes what it has completed. DATABASE_URL names the server; everything is in a schema of its own, dropped at the end.
import { fileURLToPath } from "node:url";
import { makeWorkerUtils, run, Logger } from "graphile-worker";
import pg from "pg";

import { main } from "./harness.mjs";

const schema = "peer_graphile_worker";
const silent = new Logger(() => () => {});

async function open() {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 2 });
  const utils = await makeWorkerUtils({ pgPool: pool, schema, logger: silent });
  await utils.migrate();
  return {
    insert: (first, count) =>
      utils.addJobs(Array.from({ length: count }, (_, i) => ({ identifier: "noop", payload: { number: first + i } }))),
    everythingEnded: async () =>
      (await pool.query(`select not exists (select 1 from ${schema}._private_jobs) as ended`)).rows[0].ended,
    close: () => pool.query(`drop schema ${schema} cascade`),
  };
}

async function work(count) {
  await run({
    connectionString: process.env.DATABASE_URL,
    schema,
    logger: silent,
    noHandleSignals: true,
    taskList: { noop: async () => count() },
    preset: {
      worker: {
        concurrentJobs: Number(process.env.PEER_CONCURRENCY ?? 24),
        maxPoolSize: 10,
        pollInterval: 100,
        localQueue: { size: 500 },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
      },
    },
  });
}

await main(fileURLToPath(import.meta.url), { open, work });
