/**
 * A GlusterFS volume of three replicas on this machine, mounted through FUSE: a shared file system that can lose a
 * replica. It has a daemon of its own, whose files all lie in one directory.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { sendSignal } from "./fate.ts";

/** Bricks ask for what they are at this port, and at no other. */
const port = 24_007;
const replicas = 3;
const volumeName = "b10-stress";
const commandTimeoutMs = 120_000;

/** A daemon that does not answer by then never will. */
const attempts = 60;
const attemptEveryMs = 500;

/** Where bricks make their sockets, whatever their daemon is told. */
const socketsDir = "/var/run/gluster";

const neededCommands = ["glusterd", "gluster", "mount.glusterfs"];

/** @throws {Error} where this machine cannot play a replicated file system, saying what is missing */
export function requireGluster(): void {
  if (process.getuid?.() !== 0) {
    throw new Error("Cannot mount a replicated file system as this user is not root");
  }
  const missing = neededCommands.filter((name) => !isThere(name));
  if (missing.length === 0) return;
  throw new Error(
    `Cannot make a replicated file system as ${
      missing.join(", ")
    } is not there; Debian and Ubuntu have it: ` +
      "apt-get install glusterfs-server glusterfs-client",
  );
}

function isThere(name: string): boolean {
  const dirs = ["/usr/sbin", "/sbin", ...(process.env["PATH"] ?? "").split(":")];
  return dirs.some((dir) => fs.existsSync(path.join(dir, name)));
}

export class GlusterVolume {
  /** The volume is mounted here. */
  readonly mountDir: string;
  readonly #dir: string;
  readonly #host = ownAddress();
  readonly #socketsBefore = new Set(listSockets());

  /** @param dir is made, and taken away again by `down`. */
  constructor(dir: string) {
    this.#dir = dir;
    this.mountDir = this.#at("mount");
  }

  /** @throws {Error} with what the command that failed says; `down` is due nevertheless. */
  async up(): Promise<void> {
    for (const below of ["work", "run", "log", "mount"]) fs.mkdirSync(this.#at(below), { recursive: true });
    const bricks = Array.from({ length: replicas }, (_, number) => this.#brickDir(number));
    for (const brick of bricks) fs.mkdirSync(brick);
    fs.writeFileSync(this.#at("glusterd.vol"), this.#describeDaemon());
    command("glusterd", ["-f", this.#at("glusterd.vol"), "-p", this.#at("glusterd.pid"), "-L", "WARNING"]);
    await this.#awaitDaemon();
    const places = bricks.map((brick) => `${this.#host}:${brick}`);
    this.#gluster(["volume", "create", volumeName, "replica", String(replicas), ...places, "force"]);
    this.#gluster(["volume", "start", volumeName]);
    const log = `log-file=${this.#at("log/mount.log")},log-level=WARNING`;
    command("mount", ["-t", "glusterfs", "-o", log, `${this.#host}:/${volumeName}`, this.mountDir]);
  }

  /** Ends the process that serves one of the replicas, as a machine that fails. */
  killBrick(number: number): void {
    const file = `${this.#host}-${this.#brickDir(number).slice(1).replaceAll("/", "-")}.pid`;
    sendSignal(readPid(this.#at(`run/vols/${volumeName}/${file}`)), "SIGKILL");
  }

  /** Takes everything down again, however far `up` came. Synchronous, so that a signal's handler can do it. */
  down(): void {
    attempt("umount", ["--lazy", this.mountDir]);
    attempt("gluster", [...this.#clientOptions(), "volume", "stop", volumeName, "force"]);
    for (const file of this.#pidFiles()) attempt("kill", ["-9", String(readPid(file))]);
    for (const socket of listSockets()) {
      if (!this.#socketsBefore.has(socket)) fs.rmSync(path.join(socketsDir, socket), { force: true });
    }
    fs.rmSync(this.#dir, { recursive: true, force: true });
  }

  #at(name: string): string {
    return path.join(this.#dir, name);
  }

  #brickDir(number: number): string {
    return this.#at(`brick-${number}`);
  }

  #describeDaemon(): string {
    const options = {
      "working-directory": this.#at("work"),
      "run-directory": this.#at("run"),
      "logging-directory": this.#at("log"),
      "glusterd-sockfile": this.#at("glusterd.socket"),
      "transport-type": "socket",
      "transport.socket.listen-port": String(port),
      "transport.socket.bind-address": this.#host,
    };
    const lines = Object.entries(options).map(([name, value]) => `    option ${name} ${value}`);
    return ["volume management", "    type mgmt/glusterd", ...lines, "end-volume", ""].join("\n");
  }

  async #awaitDaemon(): Promise<void> {
    for (let count = 0; count < attempts; count++) {
      if (attempt("gluster", [...this.#clientOptions(), "volume", "list"])) return;
      await sleep(attemptEveryMs);
    }
    throw new Error(`Cannot talk to glusterd: does another one listen at port ${port}?`);
  }

  #gluster(args: readonly string[]): void {
    command("gluster", [...this.#clientOptions(), ...args]);
  }

  #clientOptions(): string[] {
    return [
      `--glusterd-sock=${this.#at("glusterd.socket")}`,
      `--log-file=${this.#at("log/cli.log")}`,
      "--mode=script",
    ];
  }

  /** Of the daemon, and of bricks and healers that did not stop. */
  #pidFiles(): string[] {
    if (!fs.existsSync(this.#at("run"))) return [];
    const below = fs.readdirSync(this.#at("run"), { recursive: true, encoding: "utf8" });
    return [
      "glusterd.pid",
      ...below.filter((name) => name.endsWith(".pid")).map((name) => path.join("run", name)),
    ]
      .map((name) => this.#at(name)).filter((file) => fs.existsSync(file));
  }
}

/** Gluster takes no loopback address for a brick. */
function ownAddress(): string {
  const all = Object.values(os.networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const found = all.find(({ family, internal }) => family === "IPv4" && !internal);
  if (found) return found.address;
  throw new Error("Cannot make a volume as this machine has no IPv4 address besides the loopback one");
}

function readPid(file: string): number {
  return Number.parseInt(fs.readFileSync(file, "utf8"), 10);
}

function listSockets(): string[] {
  if (!fs.existsSync(socketsDir)) return [];
  return fs.readdirSync(socketsDir).filter((name) => name.endsWith(".socket"));
}

function command(name: string, args: readonly string[]): void {
  const { status, stdout, stderr, error } = spawnSync(name, args, {
    encoding: "utf8",
    timeout: commandTimeoutMs,
  });
  if (status === 0) return;
  throw new Error(`"${name} ${args.join(" ")}" failed: ${error?.message ?? `${stdout}${stderr}`.trim()}`);
}

/** @returns whether it succeeded. */
function attempt(name: string, args: readonly string[]): boolean {
  return spawnSync(name, args, { timeout: commandTimeoutMs }).status === 0;
}
