/** What holds a narrowed process back, and what does not. The experiment's directory has `root` and `outside`. */
import * as fs from "node:fs";
import process from "node:process";
import type { OpenMode, System } from "../../../lib/system.ts";
import { outcomeOf } from "./outcome.ts";

/** Opens and closes: Bun ends a process whose open file is garbage. */
async function open({ fs }: System, file: string, mode: OpenMode): Promise<void> {
  await (await fs.open(file, mode)).close();
}

const plain = { mode: 0o644, mtimeNs: 0n };

/** By a thread of its own, where the runtime and the machine have one for it. */
async function createByThread({ fs, writerThreads }: System, place: string): Promise<void> {
  const bytes = new Uint8Array(1);
  if (!writerThreads) return void fs.createFileSync(place, bytes, plain);
  await writerThreads.createFiles({
    places: place,
    bytes,
    sizes: Uint32Array.of(bytes.length),
    modes: Uint16Array.of(plain.mode),
    mtimesNs: BigInt64Array.of(plain.mtimeNs),
  });
}

/** Expects a file `secret` and an empty directory `empty` in `outside`; enters the kernel's fence where there is one. */
export async function fence(system: System, dir: string, url: string) {
  const { fs, processes } = system;
  const kernelFileBefore = system.host.kernelFile("/proc/version") !== undefined;
  const procBefore = await outcomeOf(() => open(system, "/proc/version", "r"));
  system.sandbox.enter([`${dir}/root`], [], { handed: "over" });
  const kind = await system.sandbox.narrow([`${dir}/root`]);
  const inside = `${dir}/root/inside`;
  const outside = `${dir}/outside`;
  return {
    kind,
    carried: system.sandbox.carried,
    inside: await outcomeOf(() => fs.createFileSync(inside, new Uint8Array(1), plain)),
    insideByThread: await outcomeOf(() => createByThread(system, `${dir}/root/inside-by-thread`)),
    outside: {
      open: await outcomeOf(() => open(system, `${outside}/secret`, "r")),
      stat: await outcomeOf(() => fs.stat(`${outside}/secret`)),
      lstat: await outcomeOf(() => fs.lstat(`${outside}/secret`)),
      list: await outcomeOf(() => fs.list(outside)),
      realPath: await outcomeOf(() => fs.realPath(`${outside}/secret`)),
      create: await outcomeOf(() => open(system, `${outside}/new`, "wx")),
      createSync: await outcomeOf(() => fs.createFileSync(`${outside}/new-sync`, new Uint8Array(1), plain)),
      createByThread: await outcomeOf(() => createByThread(system, `${outside}/new-by-thread`)),
      mkdir: await outcomeOf(() => fs.mkdir(`${outside}/new-directory`, 0o755)),
      chmod: await outcomeOf(() => fs.chmod(`${outside}/secret`, 0o640)),

      linkOut: await outcomeOf(() => fs.link(inside, `${outside}/linked`)),
      linkIn: await outcomeOf(() => fs.link(`${outside}/secret`, `${dir}/root/linked`)),
      renameOut: await outcomeOf(() => fs.rename(inside, `${outside}/renamed`)),
      renameIn: await outcomeOf(() => fs.rename(`${outside}/secret`, `${dir}/root/renamed`)),
      unlink: await outcomeOf(() => fs.unlink(`${outside}/linked`)),
      rmdir: await outcomeOf(() => fs.rmdir(`${outside}/empty`)),
      viaDots: await outcomeOf(() => fs.list(`${dir}/root/../outside`)),
    },
    procBefore,
    proc: await outcomeOf(() => open(system, "/proc/version", "r")),
    kernelFileBefore,
    kernelFile: system.host.kernelFile("/proc/version") !== undefined,
    capture: await outcomeOf(() => processes.capture(["true"], { timeoutMs: 5_000 })),
    start: await outcomeOf(async () => await (await processes.start(["true"])).exited),
    http: await outcomeOf(() => system.http.status(url, { timeoutMs: 5_000 })),
  };
}

/** Whether narrow() refuses, as it must where the rights that the process was started with cannot be given up. */
export async function fenceIsRefused(system: System, dir: string) {
  return { narrow: await outcomeOf(() => system.sandbox.narrow([`${dir}/root`])) };
}

/** Every call of the file system that an operation makes on its roots, inside the fence. */
export async function fileSystemInside(system: System, dir: string) {
  await system.sandbox.narrow([`${dir}/root`]);
  const { fs, host } = system;
  const at = (name: string) => `${dir}/root/${name}`;
  const file = await fs.open(at("written"), "wx");
  const bytes = new TextEncoder().encode("some bytes");
  const outcomes = {
    append: await outcomeOf(() => file.append(bytes)),
    fileStat: await outcomeOf(() => file.stat()),
    fileChmod: await outcomeOf(() => file.chmod(0o644)),
    fileChown: await outcomeOf(() => file.chown(host.uid, process.getgid?.() ?? 0)),
    fileSync: await outcomeOf(() => file.sync()),
    close: await outcomeOf(() => file.close()),
    chmod: await outcomeOf(() => fs.chmod(at("written"), 0o600)),
    chown: await outcomeOf(() => fs.chown(at("written"), host.uid, process.getgid?.() ?? 0)),

    syncDirectory: await outcomeOf(() => fs.syncDirectory(dir + "/root")),
    freeBytes: await outcomeOf(() => fs.freeBytes(dir + "/root")),
    fileSystemType: await outcomeOf(() => fs.fileSystemType(dir + "/root")),
    realPath: await outcomeOf(() => fs.realPath(at("written"))),
    mkdir: await outcomeOf(() => fs.mkdir(at("made"), 0o755)),
    rmdir: await outcomeOf(() => fs.rmdir(at("made"))),
  };
  const reader = await fs.open(at("written"), "r");
  const into = new Uint8Array(100);
  const read = await reader.read(into, 5);
  await reader.close();
  return {
    outcomes,
    readAt5: new TextDecoder().decode(into.subarray(0, read)),
    isWritable: await fs.isWritable(at("written")),
    touchedLately:
      Math.abs(Number((await fs.stat(at("written"))).mtimeNs / 1_000_000n) - Date.now()) < 10_000,
    unlink: await outcomeOf(() => fs.unlink(at("written"))),
    readAbsent: await outcomeOf(() => open(system, at("written"), "r")),
    realPathOfAbsent: await outcomeOf(() => fs.realPath(at("written"))),
  };
}

/** Expects symlinks in `root`: `file-out` to the file `outside/secret`, `directory-out` to `outside`. */
export async function symlinksOut(system: System, dir: string) {
  system.sandbox.enter([`${dir}/root`], []);
  await system.sandbox.narrow([`${dir}/root`]);
  const at = (name: string) => `${dir}/root/${name}`;
  return {
    read: await outcomeOf(() => open(system, at("file-out"), "r")),
    readBelow: await outcomeOf(() => open(system, at("directory-out/secret"), "r")),
    write: await outcomeOf(() => fs.writeFileSync(at("file-out"), "overwritten")),
    createBelow: await outcomeOf(() =>
      system.fs.createFileSync(at("directory-out/planted"), new Uint8Array(1), plain)
    ),
    realPath: await outcomeOf(() => system.fs.realPath(at("file-out"))),
    createSymlink: await outcomeOf(() => fs.symlinkSync("anywhere", at("new-symlink"))),
  };
}

/** Expects a symlink `root/inner` to a file in `root`. */
export async function noFollow(system: System, dir: string) {
  await system.sandbox.narrow([`${dir}/root`]);
  const { O_RDONLY, O_WRONLY, O_NOFOLLOW } = fs.constants;
  const attempt = (flags: number) => outcomeOf(() => fs.closeSync(fs.openSync(`${dir}/root/inner`, flags)));
  return { read: await attempt(O_RDONLY | O_NOFOLLOW), write: await attempt(O_WRONLY | O_NOFOLLOW) };
}
