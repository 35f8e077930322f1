/** A stand-in for a vLLM server, and waiting for what another process does. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as http from "node:http";
import type { Fleet } from "./fleet.ts";

export interface Server extends AsyncDisposable {
  readonly url: string;
  /** How many requests it has had. */
  requests(): number;
  /** What it answers from now on. */
  answer(status: number): void;
}

/** A server on a free port of the loopback interface that answers with this status. */
export async function startServer(firstStatus: number): Promise<Server> {
  let status = firstStatus;
  let requests = 0;
  const server = http.createServer((_request, response) => {
    requests++;
    response.writeHead(status).end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address);
  return {
    url: `http://127.0.0.1:${address.port}/v1/models`,
    requests: () => requests,
    answer: (next) => {
      status = next;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

const pollMs = 10;
/** It only ends what hangs, and before the run is ended that is waited for. */
const patienceMs = 150_000;

/** Returns once a file is there: what another process does has no other sign. */
export async function waitForFile(file: string): Promise<void> {
  await waitUntil(() => fs.existsSync(file), `${file} is there`);
}

/** Shell text that waits until a file is there, but not for ever. */
export function untilThere(file: string): string {
  return `n=0; until ls ${file} >/dev/null 2>&1 || [ $n -ge 3000 ]; do sleep 0.05; n=$((n+1)); done`;
}

/** Shell text that waits until the store has a generation, but not for ever. */
export function untilSaved({ storeDir }: Fleet): string {
  return untilThere(`${storeDir}/native/*/generations/*.json`);
}

export async function waitUntil(isSo: () => boolean, what: string): Promise<void> {
  const deadlineMs = performance.now() + patienceMs;
  while (!isSo()) {
    assert.ok(performance.now() < deadlineMs, `in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
