// A backlog of jobs that do nothing, inserted 1,000 at a time and then drained by worker processes of a peer. Prints
// "insert_seconds drain_seconds"; the drain is from the first start to the last committed end, as it is for ours.
//
//   node PEER.mjs JOBS PROCESSES      a PEER.mjs calls main() with what is its own
import { fork } from "node:child_process";

const BATCH = 1000;
const seconds = (from, to) => (Number(to - from) / 1e9).toFixed(6);

// A child counts its jobs and says so now and then: a message for each would be measured as well.
function countJobs(work) {
  let started = 0;
  let told = 0;
  setInterval(() => {
    if (told === started) return;
    told = started;
    process.send({ started });
  }, 10);
  return work(() => {
    if (started++ === 0) process.send({ first: process.hrtime.bigint().toString(), started });
  });
}

async function drain(file, jobs, processes, everythingEnded) {
  const children = Array.from({ length: processes }, () => fork(file, ["worker"], { serialization: "json" }));
  const counts = new Map();
  let first = null;
  const allStarted = new Promise((resolve, reject) => {
    for (const child of children) {
      child.on("message", (said) => {
        if (said.first && (first === null || BigInt(said.first) < first)) first = BigInt(said.first);
        counts.set(child, said.started);
        if ([...counts.values()].reduce((a, b) => a + b, 0) >= jobs) resolve();
      });
      child.on("exit", (code) => reject(new Error(`a worker process ended with code ${code}`)));
    }
  });
  await allStarted;
  while (!(await everythingEnded())) await new Promise((resolve) => setTimeout(resolve, 1));
  const ended = process.hrtime.bigint();
  for (const child of children) {
    child.removeAllListeners("exit");
    child.kill("SIGKILL");
  }
  return seconds(first, ended);
}

export async function main(file, { open, work }) {
  if (process.argv[2] === "worker") return countJobs(work);
  const [jobs, processes] = [Number(process.argv[2]), Number(process.argv[3] ?? 1)];
  const peer = await open();
  const began = process.hrtime.bigint();
  for (let done = 0; done < jobs; done += 2 * BATCH)
    await Promise.all([peer.insert(done, BATCH), peer.insert(done + BATCH, BATCH)]);
  const inserted = seconds(began, process.hrtime.bigint());
  const drained = await drain(file, jobs, processes, () => peer.everythingEnded(jobs));
  await peer.close();
  console.log(`${inserted} ${drained}`);
  process.exit(0);
}
