/** lib/system/http.ts against real servers, on the runtime that runs the tests. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { realHttp } from "../../lib/system/http.ts";
import { badCertificate } from "../bad_certificate.ts";

const scratch = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "b10-http-")));
after(() => fs.rmSync(scratch, { recursive: true }));

const options = { timeout: 20_000 };
const patient = { timeoutMs: 10_000 };

interface Listening extends AsyncDisposable {
  readonly port: number;
  /** Open at the moment. */
  readonly connections: ReadonlySet<net.Socket>;
  /** How many there ever were. */
  accepted(): number;
}

async function listen(server: net.Server, where: { host: string } | { path: string }): Promise<Listening> {
  const connections = new Set<net.Socket>();
  let accepted = 0;
  server.on("connection", (connection: net.Socket) => {
    accepted++;
    connections.add(connection);
    connection.on("close", () => connections.delete(connection)).on("error", () => {});
  });
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject);
    server.listen("path" in where ? where : { port: 0, ...where }, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : 0,
    connections,
    accepted: () => accepted,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const connection of connections) connection.destroy();
      await closed;
    },
  };
}

const loopback = { host: "127.0.0.1" };

/** Each request's path is the status that it gets; `asked` has them. */
function answering(asked: string[] = []): http.RequestListener {
  return ({ url = "" }, response) => {
    asked.push(url);
    response.writeHead(Number(url.slice(1, 4)), { location: "/200" }).end("{}");
  };
}

/** Whatever a runtime or a library may look at. */
const proxyVariables = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

function withVariables(variables: Readonly<Record<string, string | undefined>>): Disposable {
  const before = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]));
  const set = (values: typeof variables) => {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
  set(variables);
  return { [Symbol.dispose]: () => set(before) };
}

// The first test: with NODE_USE_ENV_PROXY a runtime looks at the variables once, when it first asks anything.
test("no proxy is asked, whatever variables name one", options, async () => {
  await using proxy = await listen(net.createServer(), loopback);
  await using plain = await listen(http.createServer(answering()), loopback);
  await using tls = await listen(https.createServer(badCertificate, answering()), loopback);
  const socketPath = path.join(scratch, "proxied");
  await using _socket = await listen(https.createServer(badCertificate, answering()), { path: socketPath });
  using _variables = withVariables({
    ...Object.fromEntries(proxyVariables.map((name) => [name, `http://127.0.0.1:${proxy.port}`])),
    NO_PROXY: undefined,
    no_proxy: undefined,
    NODE_USE_ENV_PROXY: "1",
  });
  const quick = { timeoutMs: 3_000 };
  assert.equal(await realHttp.status(`http://127.0.0.1:${plain.port}/200`, quick), 200);
  assert.equal(await realHttp.status(`http://localhost:${plain.port}/200`, quick), 200);
  assert.equal(await realHttp.status(`https://127.0.0.1:${tls.port}/200`, quick), 200);
  assert.equal(await realHttp.status(`https+unix:${socketPath}:/200`, quick), 200);
  assert.equal(proxy.accepted(), 0);
});

test("the answer is the server's status, and a redirect is not followed", options, async () => {
  const asked: string[] = [];
  await using server = await listen(http.createServer(answering(asked)), loopback);
  const statuses = [200, 204, 301, 302, 307, 308, 401, 403, 404, 429, 500, 503];
  for (const status of statuses) {
    assert.equal(await realHttp.status(`http://127.0.0.1:${server.port}/${status}?x=1`, patient), status);
  }
  assert.deepEqual(asked, statuses.map((status) => `/${status}?x=1`));
});

test("localhost and IPv6 addresses", options, async () => {
  await using four = await listen(http.createServer(answering()), loopback);
  assert.equal(await realHttp.status(`http://localhost:${four.port}/200`, patient), 200);
  await using six = await listen(http.createServer(answering()), { host: "::1" });
  assert.equal(await realHttp.status(`http://[::1]:${six.port}/200`, patient), 200);
  await using all = await listen(http.createServer(answering()), { host: "::" });
  assert.equal(await realHttp.status(`http://[::1]:${all.port}/401`, patient), 401);
});

test("https, whoever the certificate is of", options, async () => {
  await using server = await listen(https.createServer(badCertificate, answering()), loopback);
  assert.equal(await realHttp.status(`https://127.0.0.1:${server.port}/200`, patient), 200);
  assert.equal(await realHttp.status(`https://localhost:${server.port}/401`, patient), 401);
  await assert.rejects(realHttp.status(`http://127.0.0.1:${server.port}/200`, patient));
});

test("a Unix socket, with and without TLS", options, async () => {
  const asked: string[] = [];
  const at = (name: string) => path.join(scratch, name);
  await using _plain = await listen(http.createServer(answering(asked)), { path: at("a b.sock") });
  await using _tls = await listen(https.createServer(badCertificate, answering(asked)), { path: at("tls") });
  assert.equal(await realHttp.status(`unix:${at("a b.sock")}:/401?x=1`, patient), 401);
  assert.equal(await realHttp.status(`https+unix:${at("tls")}:/200`, patient), 200);
  assert.deepEqual(asked, ["/401?x=1", "/200"]);
  fs.writeFileSync(at("file"), "");
  for (const absent of ["absent", "file", "."]) {
    await assert.rejects(realHttp.status(`unix:${at(absent)}:/200`, patient), absent);
  }
});

/** What a server does with a connection, none of which is an answer. */
const silent: Readonly<Record<string, (connection: net.Socket) => void>> = {
  "says nothing": (connection) => void connection.resume(),
  "sends headers without end": (connection) => {
    connection.write("HTTP/1.1 200 OK\r\nx-header: ");
    const timer = setInterval(() => connection.write("x"), 20);
    connection.on("close", () => clearInterval(timer));
  },
  "sends informational answers without end": (connection) => {
    const timer = setInterval(() => connection.write("HTTP/1.1 102 Processing\r\n\r\n"), 20);
    connection.on("close", () => clearInterval(timer));
  },
};

for (const [what, act] of Object.entries(silent)) {
  test(`a server that ${what} is left in time`, options, async () => {
    await using server = await listen(net.createServer(act), loopback);
    for (const scheme of ["http", "https"]) {
      const startMs = performance.now();
      await assert.rejects(realHttp.status(`${scheme}://127.0.0.1:${server.port}/200`, { timeoutMs: 300 }));
      assert.ok(performance.now() - startMs < 3_000);
    }
    await gone(server);
  });
}

const wrong: Readonly<Record<string, string>> = {
  "closes the connection": "",
  "speaks another protocol": "220 mail.example ESMTP\r\n",
  "switches protocols": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n",
};

for (const [what, answer] of Object.entries(wrong)) {
  test(`a server that ${what} has not answered`, options, async () => {
    const server = net.createServer((connection) => connection.once("data", () => connection.end(answer)));
    await using listening = await listen(server, loopback);
    const startMs = performance.now();
    await assert.rejects(realHttp.status(`http://127.0.0.1:${listening.port}/200`, patient));
    assert.ok(performance.now() - startMs < 5_000);
  });
}

test("a body without end is not read: the connection closes", options, async () => {
  const endless = http.createServer((_request, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write("more"), 20);
    response.on("close", () => clearInterval(timer)).on("error", () => {});
  });
  await using server = await listen(endless, loopback);
  assert.equal(await realHttp.status(`http://127.0.0.1:${server.port}/`, patient), 200);
  await gone(server);
});

async function gone({ connections }: Listening): Promise<void> {
  const deadlineMs = performance.now() + 5_000;
  while (connections.size > 0) {
    assert.ok(performance.now() < deadlineMs, "the connection is closed");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
