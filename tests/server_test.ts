import assert from "node:assert/strict";
import { test } from "node:test";
import { probeUrl, waitUntilReady } from "../lib/server.ts";
import type { Http } from "../lib/system.ts";
import { FakeClock } from "./fake_clock.ts";

const url = "http://127.0.0.1:8000/v1/models";
const running = new AbortController().signal;

interface Probe {
  readonly url: string;
  readonly atMs: number;
  readonly timeoutMs: number;
}

/** A server that answers the n-th probe with the n-th answer, and from then on with the last one. */
function server(clock: FakeClock, answers: readonly (number | "refused" | "silent")[]) {
  const probes: Probe[] = [];
  const http: Http = {
    status: async (probed, { timeoutMs }) => {
      probes.push({ url: probed, atMs: clock.monotonicMs(), timeoutMs });
      const answer = answers[Math.min(probes.length, answers.length) - 1];
      if (typeof answer === "number") return answer;
      if (answer === "silent") await clock.sleep(timeoutMs);
      throw Object.assign(new Error("connect"), { code: "ECONNREFUSED" });
    },
  };
  return { system: { clock, http }, probes };
}

const readiness: readonly (readonly [number | "refused" | "silent", boolean])[] = [
  [200, true],
  [204, true],
  [401, true],
  [403, true],
  ["refused", false],
  ["silent", false],
  [0, false],
  [301, false],
  [307, false],
  [400, false],
  [404, false],
  [429, false],
  [500, false],
  [503, false],
];

for (const [answer, ready] of readiness) {
  test(`a server whose answer is ${answer} is ${ready ? "ready" : "not ready"}`, async () => {
    const clock = new FakeClock();
    const { system, probes } = server(clock, [answer]);
    const wait = { url, timeoutMs: 10_000, intervalMs: 2_000, signal: running };
    assert.equal(await clock.run(waitUntilReady(system, wait)), ready);
    assert.equal(clock.monotonicMs(), ready ? 0 : 10_000);
    assert.equal(probes[0]?.url, url);
  });
}

test("waitUntilReady() asks once an interval, and returns as soon as the server answers", async () => {
  const clock = new FakeClock();
  const { system, probes } = server(clock, ["refused", "refused", 503, 200]);
  const wait = { url, timeoutMs: 1_800_000, intervalMs: 2_000, signal: running };
  assert.equal(await clock.run(waitUntilReady(system, wait)), true);
  assert.deepEqual(probes.map(({ atMs }) => atMs), [0, 2_000, 4_000, 6_000]);
  assert.equal(clock.monotonicMs(), 6_000);
});

test("waitUntilReady() gives a probe 5 s at most, and never more than the time that is left", async () => {
  const clock = new FakeClock();
  const { system, probes } = server(clock, ["silent"]);
  const wait = { url, timeoutMs: 16_000, intervalMs: 2_000, signal: running };
  assert.equal(await clock.run(waitUntilReady(system, wait)), false);
  assert.deepEqual(probes.map(({ atMs, timeoutMs }) => [atMs, timeoutMs]), [
    [0, 5_000],
    [7_000, 5_000],
    [14_000, 2_000],
  ]);
  assert.equal(clock.monotonicMs(), 16_000);
});

test("waitUntilReady() goes by time that only moves forward", async () => {
  const clock = new FakeClock();
  const { system } = server(clock, ["refused"]);
  const wait = { url, timeoutMs: 10_000, intervalMs: 2_000, signal: running };
  const ready = waitUntilReady(system, wait);
  await clock.advance(3_000);
  clock.setWallClock(0);
  assert.equal(await clock.run(ready), false);
  assert.equal(clock.monotonicMs(), 10_000);
});

test("waitUntilReady() ends at once when it is aborted, with the reason", async () => {
  const clock = new FakeClock();
  const { system, probes } = server(clock, ["refused"]);
  const controller = new AbortController();
  const reason = new Error("interrupted by SIGTERM");
  const wait = { url, timeoutMs: 10_000, intervalMs: 2_000, signal: controller.signal };
  const ready = assert.rejects(waitUntilReady(system, wait), reason);
  await clock.advance(3_000);
  controller.abort(reason);
  await ready;
  assert.equal(probes.length, 2);
  assert.equal(clock.sleeping, 0);

  await assert.rejects(waitUntilReady(system, wait), reason);
  assert.equal(probes.length, 2);
});

const custom = "https://pod.local:8443/health?x=1";

const addresses: readonly (readonly [string, string, string?])[] = [
  ["vllm serve m", url],
  ["vllm serve m --port 8001", "http://127.0.0.1:8001/v1/models"],
  ["vllm serve m --port=8001", "http://127.0.0.1:8001/v1/models"],
  ["vllm serve m --host 0.0.0.0", url],
  ["vllm serve m --host=0.0.0.0 --port=9", "http://127.0.0.1:9/v1/models"],
  ["vllm serve m --host=", url],
  ["vllm serve m --host=::", "http://[::1]:8000/v1/models"],
  ["vllm serve m --host [::]", "http://[::1]:8000/v1/models"],
  ["vllm serve m --host ::1 --port 8001", "http://[::1]:8001/v1/models"],
  ["vllm serve m --host fd00::7", "http://[fd00::7]:8000/v1/models"],
  ["vllm serve m --host 10.0.0.7", "http://10.0.0.7:8000/v1/models"],
  ["vllm serve m --host localhost", "http://localhost:8000/v1/models"],
  ["vllm serve m --port 80", "http://127.0.0.1/v1/models"],
  ["vllm serve m --port 8001 --port 8002", "http://127.0.0.1:8002/v1/models"],
  ["vllm serve m --port=8001 --port", url],
  ["vllm serve m --portal 8001 --hostname x", url],
  ["vllm serve m --port many", url],
  ["vllm serve m --port 99999", url],
  ["vllm serve m --port -1", url],
  ["vllm serve m --host", url],
  ["vllm serve m", custom, custom],
  ["vllm serve m --port 9", "https://pod.local:9/health?x=1", custom],
  ["vllm serve m --ssl-certfile c", "https://127.0.0.1:8000/v1/models"],
  ["vllm serve m --ssl-keyfile k --port 443", "https://127.0.0.1/v1/models"],
  ["vllm serve m --ssl-keyfile k --host ::", "https://[::1]:8000/v1/models"],
  ["vllm serve m --ssl-certfile c", "https://a:80/", "http://a/"],
  ["vllm serve m --ssl-certfile c", "https://a/", "http://a:443/"],
  ["vllm serve m --ssl-certfile c", custom, custom],
  ["vllm serve m --host b", "https://b/", "https://a/"],
  ["vllm serve m --host b --port 80", "https://b:80/", "https://a/"],
  ["vllm serve m --uds /run/v.sock --port 9", "unix:/run/v.sock:/v1/models"],
  ["vllm serve m --uds v.sock", "unix:v.sock:/health?x=1", custom],
  ["vllm serve m --uds /run/v.sock --ssl-certfile c", "https+unix:/run/v.sock:/v1/models"],
  ["vllm serve m --uds /run/v.sock", "unix:/run/v.sock:/health", "unix:/run/other.sock:/health"],
  ["vllm serve m", "unix:/run/v.sock:/health", "unix:/run/v.sock:/health"],
  ["vllm serve m --host ::1 --port 9", "unix:/run/v.sock:/health", "unix:/run/v.sock:/health"],
  ["vllm serve m --headless --port 9", url],
  ["vllm serve m --headless", custom, custom],
  ["vllm serve m --grpc --port 9", url],
];

test("probeUrl() is what the command line says, and for the rest the default", () => {
  for (const [command, probed, byDefault = url] of addresses) {
    assert.equal(probeUrl(command.split(" "), byDefault), probed, command);
  }
  assert.equal(probeUrl([], url), url);
});
