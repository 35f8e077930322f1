import assert from "node:assert/strict";
import { test } from "node:test";
import { type ServerAddress, serverAddress } from "../lib/server_address.ts";

function network(said: { host?: string; port?: string; tls?: boolean } = {}): ServerAddress {
  return { kind: "network", host: said.host, port: said.port, tls: said.tls ?? false };
}

function socket(path: string, tls: "tls" | "plain" = "plain"): ServerAddress {
  return { kind: "socket", path, tls: tls === "tls" };
}

const none: ServerAddress = { kind: "none" };

/** Words divided by single spaces; an array where a word has one of its own. */
type Row = readonly [string | readonly string[], ServerAddress];

function check(rows: readonly Row[]): void {
  for (const [command, address] of rows) {
    const words = typeof command === "string" ? command.split(" ") : command;
    assert.deepEqual(serverAddress(words), address, words.join(" "));
  }
}

test("--port: with a space or =, the last one, whole numbers that a port can be", () =>
  check([
    [[], network()],
    ["vllm serve m", network()],
    ["vllm serve m --port 8001", network({ port: "8001" })],
    ["vllm serve m --port=8001", network({ port: "8001" })],
    ["vllm serve --port 8001 m", network({ port: "8001" })],
    ["vllm serve m --port 08001", network({ port: "8001" })],
    ["vllm serve m --port 65535", network({ port: "65535" })],
    ["vllm serve m --port 8001 --port=8002", network({ port: "8002" })],
    ["vllm serve m --port 65536", network()],
    ["vllm serve m --port many", network()],
    ["vllm serve m --port -1", network()],
    ["vllm serve m --port=", network()],
    ["vllm serve m --port", network()],
    ["vllm serve m --port --host 10.0.0.7", network({ host: "10.0.0.7" })],
  ]));

test("--host: an address of this machine as it is, and the loopback one for every address", () =>
  check([
    ["vllm serve m --host 0.0.0.0", network({ host: "127.0.0.1" })],
    ["vllm serve m --host 0", network({ host: "127.0.0.1" })],
    ["vllm serve m --host=", network({ host: "127.0.0.1" })],
    [["vllm", "serve", "m", "--host", ""], network({ host: "127.0.0.1" })],
    ["vllm serve m --host ::", network({ host: "[::1]" })],
    ["vllm serve m --host=::", network({ host: "[::1]" })],
    ["vllm serve m --host [::]", network({ host: "[::1]" })],
    ["vllm serve m --host 0:0:0:0:0:0:0:0", network({ host: "[::1]" })],
    ["vllm serve m --host ::ffff:0.0.0.0", network({ host: "127.0.0.1" })],
    ["vllm serve m --host ::1", network({ host: "[::1]" })],
    ["vllm serve m --host [::1]", network({ host: "[::1]" })],
    ["vllm serve m --host FD00::7", network({ host: "[fd00::7]" })],
    ["vllm serve m --host 127.0.0.1", network({ host: "127.0.0.1" })],
    ["vllm serve m --host 10.0.0.7", network({ host: "10.0.0.7" })],
    ["vllm serve m --host localhost", network({ host: "localhost" })],
    ["vllm serve m --host pod-7.pods.svc", network({ host: "pod-7.pods.svc" })],
    ["vllm serve m --host a_b", network({ host: "a_b" })],
    ["vllm serve m --host fe80::1%eth0", network()],
    ["vllm serve m --host $POD_IP", network()],
    ["vllm serve m --host a/b", network()],
    ["vllm serve m --host user@a", network()],
    ["vllm serve m --host ::g", network()],
    ["vllm serve m --host", network()],
  ]));

test("--ssl-certfile, --ssl-keyfile: either makes it https", () =>
  check([
    ["vllm serve m --ssl-certfile c.pem --ssl-keyfile k.pem", network({ tls: true })],
    ["vllm serve m --ssl-certfile=c.pem --port 8443", network({ port: "8443", tls: true })],
    ["vllm serve m --ssl_certfile c.pem", network({ tls: true })],
    ["vllm serve m --ssl-keyfile k.pem", network({ tls: true })],
    ["vllm serve m --ssl-certfile=", network()],
    ["vllm serve m --ssl-ca-certs ca.pem --ssl-cert-reqs 0", network()],
  ]));

test("--uds: a socket, whatever --host and --port say", () =>
  check([
    ["vllm serve m --uds /run/v.sock", socket("/run/v.sock")],
    ["vllm serve m --uds=/run/v.sock --host ::1 --port 9", socket("/run/v.sock")],
    ["vllm serve m --uds v.sock", socket("v.sock")],
    ["vllm serve m --uds /a --uds /b", socket("/b")],
    [["vllm", "serve", "m", "--uds", "/run/a b"], socket("/run/a b")],
    ["vllm serve m --uds /run/v.sock --ssl-certfile c.pem", socket("/run/v.sock", "tls")],
    ["vllm serve m --uds= --port 9", network({ port: "9" })],
  ]));

test("--headless, --api-server-count 0 and --grpc: there is no HTTP server", () =>
  check([
    ["vllm serve m --headless --data-parallel-size 4 --data-parallel-address 10.0.0.1", none],
    ["vllm serve m --headless --port 8001", none],
    ["vllm serve m --api-server-count 0", none],
    ["vllm serve m --api_server_count=0", none],
    ["vllm serve m --grpc --port 8001", none],
    ["vllm serve m --api-server-count 2 --port 8001", network({ port: "8001" })],
    ["vllm serve m --data-parallel-rank 1 --port 8001", network({ port: "8001" })],
  ]));

test("names: underscores are dashes, and argparse's abbreviations count", () =>
  check([
    ["vllm serve m --por 8001", network({ port: "8001" })],
    ["vllm serve m --por=8001 --ho=::1", network({ host: "[::1]", port: "8001" })],
    ["vllm serve m --ud /run/v.sock", socket("/run/v.sock")],
    ["vllm serve m --ssl-k k.pem", network({ tls: true })],
    ["vllm serve m --head", none],
    ["vllm serve m --po 8001", network()],
    ["vllm serve m --portal 8001 --hostname x --udsy /x --ssl-certfiles c", network()],
    ["vllm serve m -port 8001 port 8002", network()],
    ["vllm serve m --served-model-name=--port=9", network()],
  ]));

test("what changes nothing: --root-path, --api-key, --config, another value's look", () =>
  check([
    ["vllm serve m --root-path /llm --api-key s3cret", network()],
    ["vllm serve --config server.yaml", network()],
    ["vllm serve m --data-parallel-rpc-port 1 --master-port 2", network()],
  ]));

test("the server's own options alone: not those of what starts it, nor what comes after --", () =>
  check([
    ["proxy --port 1 vllm serve m --port 8001", network({ port: "8001" })],
    ["proxy --port 1 -- /opt/venv/bin/vllm serve m", network()],
    ["python3 -m vllm.entrypoints.openai.api_server --model m --port 8001", network({ port: "8001" })],
    ["run --port 1 python3 -m vllm.entrypoints.openai.api_server", network()],
    ["python3 -m vllm.entrypoints.cli.main serve m --port 8001", network({ port: "8001" })],
    ["python3 /site/vllm/entrypoints/openai/api_server.py --uds /run/v.sock", socket("/run/v.sock")],
    ["vllm serve m --port 8001 -- --port 9", network({ port: "8001" })],
    ["vllm bench serve --port 8001", network({ port: "8001" })],
    ["python3 my_server.py -- --port 8001", network({ port: "8001" })],
  ]));

test("the script of a shell: the command in it that is vllm's", () =>
  check([
    [["sh", "-c", "vllm serve m --port 8001"], network({ port: "8001" })],
    [["/bin/bash", "-lc", "exec vllm serve m --port=8001 >log 2>&1"], network({ port: "8001" })],
    [
      ["bash", "-e", "-c", "prepare --port 1 && vllm serve m --port 8001 | tee log"],
      network({ port: "8001" }),
    ],
    [["tini", "--", "sh", "-c", "vllm serve m --uds '/run/a b'"], socket("/run/a b")],
    [
      ["sh", "-c", "vllm serve m \\\n  --ssl-certfile c.pem \\\n  --port 8443\n"],
      network({ port: "8443", tls: true }),
    ],
    [["sh", "-c", "vllm serve m --headless"], none],
    [["sh", "-c", "vllm serve m --host '' # --port 9"], network({ host: "127.0.0.1" })],
    [["sh", "-c", "A=1 vllm serve m --host $POD_IP --port $PORT"], network()],
    [["sh", "-c", "echo 'vllm serve m --port 9'"], network()],
    [["sh", "-c", "sleep 1", "vllm", "serve", "--port", "8001"], network({ port: "8001" })],
    [["sh", "-c", 'exec "$@"', "sh", "vllm", "serve", "m", "--port", "8001"], network({ port: "8001" })],
    [["sh", "start.sh", "--port", "8001"], network({ port: "8001" })],
    [["sh", "-c"], network()],
  ]));
