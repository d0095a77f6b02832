// Emmett over PostgreSQL, by its own client, run by the bench: one JSON line in, one out.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { createInterface } from 'node:readline';

const STREAM_LENGTH = 10;
const PAGE = 1000;

// This file stays where it is: what it needs is installed elsewhere.
const require = createRequire(`${process.env.BENCH_NODE_FOLDER}/package.json`);
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const loaded = await load('@event-driven-io/emmett-postgresql');
const { getPostgreSQLEventStore, readMessagesBatch } = loaded.default ?? loaded;
const dumboed = await load('@event-driven-io/dumbo');
const { dumbo } = dumboed.default ?? dumboed;
const pg = (await load('pg')).default;

const events = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const pool = new pg.Pool({ connectionString: process.env.BENCH_DSN, max: 32 });
const store = getPostgreSQLEventStore(process.env.BENCH_DSN, { connectionOptions: { pool } });
await store.schema.migrate();
const database = dumbo({ connectionString: process.env.BENCH_DSN });

async function record(entries) {
  let stream = '';
  for (let nth = 0; nth < entries; nth += 1) {
    const revision = nth % STREAM_LENGTH;
    if (revision === 0) stream = `cooperation-${randomUUID()}`;
    const { type, data } = events[revision];
    await store.appendToStream(stream, [{ type, data }], {
      expectedStreamVersion: revision === 0 ? 'STREAM_DOES_NOT_EXIST' : BigInt(revision),
    });
  }
}

async function append(tasks, entries) {
  const begun = performance.now();
  await Promise.all(Array.from({ length: tasks }, () => record(Math.floor(entries / tasks))));
  return entries / ((performance.now() - begun) / 1000);
}

async function read() {
  const begun = performance.now();
  let after = 0n;
  let number = 0;
  for (;;) {
    const { messages, currentGlobalPosition } = await readMessagesBatch(database.execute, { after, batchSize: PAGE });
    if (messages.length === 0) break;
    number += messages.length;
    after = currentGlobalPosition;
  }
  return number / ((performance.now() - begun) / 1000);
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const rate = asked.do === 'read' ? await read() : await append(asked.tasks, asked.entries);
  console.log(JSON.stringify({ rate }));
}
await database.close();
await store.close();
await pool.end();
