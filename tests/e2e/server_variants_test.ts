/** `run -- COMMAND` finds COMMAND's server by its command line, wherever and however that listens. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { describe, test } from "node:test";
import { badCertificate } from "../bad_certificate.ts";
import { mainProgram, ownRuntime, selectTargets } from "../targets.ts";
import { Fleet, run, start, storeFiles, testTimeoutMs, writeTree } from "./fleet.ts";
import { untilSaved, untilThere, waitUntil } from "./server.ts";

interface Listening extends AsyncDisposable {
  readonly port: number;
  connections(): number;
}

async function listen(server: net.Server, where: net.ListenOptions): Promise<Listening> {
  const open = new Set<net.Socket>();
  let connections = 0;
  server.on("connection", (connection: net.Socket) => {
    connections++;
    open.add(connection);
    connection.on("error", () => {}).on("close", () => open.delete(connection));
  });
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject);
    server.listen(where, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : 0,
    connections: () => connections,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const connection of open) connection.destroy();
      await closed;
    },
  };
}

/** An address of this machine that is no loopback one, as a pod's own is. */
const ownAddress = Object.values(os.networkInterfaces()).flat()
  .find((network) => network && !network.internal && network.family === "IPv4")?.address;

/** Asked often, and saved as soon as the server is ready. */
const prompt = { B10_TRANSFER_INTERVAL_S: "0.05", B10_CACHE_QUIET_S: "0" };

interface Variant {
  readonly name: string;
  /** What it listens on; a port that is 0 is a free one. A socket's path is below the pod's home. */
  readonly listens: { readonly host: string } | { readonly socket: string };
  readonly tls?: boolean;
  readonly answers?: number;
  /** What is asked for; by default /v1/models. */
  readonly asked?: string;
  /** The options of `vllm serve`. */
  readonly options: (at: { port: number; home: string }) => readonly string[];
  readonly settings?: (at: { port: number; home: string }) => Readonly<Record<string, string>>;
}

const onPort = (host: string) => ({ port }: { port: number }) => ["--host", host, "--port", `${port}`];
const certificate = ["--ssl-keyfile", "k.pem", "--ssl-certfile", "c.pem"];

const variants: readonly Variant[] = [
  { name: "--port alone", listens: { host: "0.0.0.0" }, options: ({ port }) => [`--port=${port}`] },
  { name: "--host 0.0.0.0", listens: { host: "0.0.0.0" }, options: onPort("0.0.0.0") },
  { name: "an empty --host", listens: { host: "0.0.0.0" }, options: onPort("") },
  { name: "--host localhost", listens: { host: "127.0.0.1" }, options: onPort("localhost") },
  { name: "--host ::", listens: { host: "::" }, options: onPort("::") },
  { name: "--host ::1", listens: { host: "::1" }, options: onPort("::1") },
  { name: "--host [::1]", listens: { host: "::1" }, options: onPort("[::1]") },
  ...(ownAddress === undefined
    ? []
    : [{ name: "the pod's address", listens: { host: ownAddress }, options: onPort(ownAddress) }]),
  {
    name: "--api-key",
    listens: { host: "127.0.0.1" },
    answers: 401,
    options: ({ port }) => ["--api-key", "k", "--port", `${port}`],
  },
  {
    name: "https",
    listens: { host: "127.0.0.1" },
    tls: true,
    options: ({ port }) => [...certificate, "--port", `${port}`],
  },
  { name: "--uds", listens: { socket: "a b.sock" }, options: ({ home }) => ["--uds", `${home}/a b.sock`] },
  { name: "a relative --uds", listens: { socket: "v.sock" }, options: () => ["--uds=v.sock", "--port=1"] },
  {
    name: "--uds and https",
    listens: { socket: "v.sock" },
    tls: true,
    options: ({ home }) => [...certificate, "--uds", `${home}/v.sock`],
  },
  {
    name: "B10_TRANSFER_VLLM_URL, a Unix socket",
    asked: "/health",
    listens: { socket: "v.sock" },
    options: () => [],
    settings: ({ home }) => ({ B10_TRANSFER_VLLM_URL: `unix:${home}/v.sock:/health` }),
  },
  {
    name: "--headless, and B10_TRANSFER_VLLM_URL of another node",
    listens: { host: "127.0.0.1" },
    options: () => ["--headless", "--port", "1"],
    settings: ({ port }) => ({ B10_TRANSFER_VLLM_URL: `http://127.0.0.1:${port}/v1/models` }),
  },
];

/** What COMMAND does: it waits for the save, and for a moment more. */
const savedCommand = (fleet: Fleet) => `${untilSaved(fleet)}; sleep 0.2`;

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`server variants, ${target.name}`, () => {
    const options = { skip: target.skip, timeout: testTimeoutMs };

    for (const variant of variants) {
      test(`${variant.name}: the server is found, and the cache is saved`, options, async () => {
        using fleet = new Fleet();
        const home = path.join(fleet.base, "one", "home");
        fs.mkdirSync(home, { recursive: true });
        const paths: (string | undefined)[] = [];
        const answer: http.RequestListener = ({ url }, response) => {
          paths.push(url);
          response.writeHead(variant.answers ?? 200).end("{}");
        };
        const { listens } = variant;
        await using server = await listen(
          variant.tls ? https.createServer(badCertificate, answer) : http.createServer(answer),
          "socket" in listens ? { path: path.join(home, listens.socket) } : { port: 0, host: listens.host },
        );
        const at = { port: server.port, home };
        const settings = { ...prompt, ...variant.settings?.(at) };
        const one = fleet.pod("one", settings);
        writeTree(one.vllmDir);
        const command = ["/bin/sh", "-c", savedCommand(fleet), "vllm", "serve", "m", ...variant.options(at)];
        const ended = await run(target, one, ["run", "--", ...command]);
        assert.equal(ended.code, 0, ended.stderr);
        assert.match(ended.stderr, /save SUCCESS/);
        assert.deepEqual([...new Set(paths)], [variant.asked ?? "/v1/models"]);
      });
    }

    test("the command in a shell's script is understood", options, async () => {
      using fleet = new Fleet();
      await using server = await listen(http.createServer((_, response) => response.end()), { port: 0 });
      const one = fleet.pod("one", prompt);
      writeTree(one.vllmDir);
      const script = `vllm() { ${
        savedCommand(fleet)
      }; }\n true && vllm serve 'a model' --port ${server.port} 2>&1`;
      const ended = await run(target, one, ["run", "--", "/bin/sh", "-c", script]);
      assert.equal(ended.code, 0, ended.stderr);
      assert.match(ended.stderr, /save SUCCESS/);
    });

    test("no proxy that the environment names is asked", options, async () => {
      using fleet = new Fleet();
      await using proxy = await listen(net.createServer(), { port: 0, host: "127.0.0.1" });
      await using server = await listen(http.createServer((_, response) => response.end()), {
        port: 0,
        host: "127.0.0.1",
      });
      const names = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
      const one = fleet.pod("one", {
        ...Object.fromEntries(names.map((name) => [name, `http://127.0.0.1:${proxy.port}`])),
        NODE_USE_ENV_PROXY: "1",
        // It is Deno itself that would ask for its newest version.
        DENO_NO_UPDATE_CHECK: "1",
        ...prompt,
      });
      writeTree(one.vllmDir);
      const command = [
        "/bin/sh",
        "-c",
        savedCommand(fleet),
        "vllm",
        "serve",
        "m",
        "--port",
        `${server.port}`,
      ];
      const ended = await run(target, one, ["run", "--", ...command]);
      assert.equal(ended.code, 0, ended.stderr);
      assert.match(ended.stderr, /save SUCCESS/);
      assert.equal(proxy.connections(), 0);
    });

    const notReady: Readonly<Record<string, () => net.Server>> = {
      ...Object.fromEntries([301, 404, 500, 503].map((status) => [
        `answers ${status}`,
        () => http.createServer((_, response) => response.writeHead(status, { location: "/" }).end()),
      ])),
      "never answers": () => net.createServer((connection) => void connection.resume()),
      "speaks https unannounced": () => https.createServer(badCertificate, (_, response) => response.end()),
    };
    for (const [what, makeServer] of Object.entries(notReady)) {
      test(`a server that ${what} is not ready: nothing is saved, and COMMAND goes on`, options, async () => {
        using fleet = new Fleet();
        await using server = await listen(makeServer(), { port: 0, host: "127.0.0.1" });
        const one = fleet.pod("one", { ...prompt, B10_TRANSFER_TIMEOUT_S: "0.5" });
        writeTree(one.vllmDir);
        const given = path.join(fleet.base, "given-up");
        const script = `${untilThere(given)}; exit 7`;
        const command = ["/bin/sh", "-c", script, "vllm", "serve", "m", "--port", `${server.port}`];
        const running = start(target, one, ["run", "--", ...command]);
        const gaveUp = /did not answer at http:\/\/127\.0\.0\.1:\d+\/v1\/models within 0\.5 s/;
        await waitUntil(() => gaveUp.test(running.said()), "the program gives up");
        fs.writeFileSync(given, "");
        const ended = await running.ended;
        assert.equal(ended.code, 7, ended.stderr);
        assert.ok(server.connections() > 0);
        assert.ok(!fs.existsSync(fleet.storeDir) || storeFiles(fleet, ".json").length === 0);
      });
    }
  });
}
