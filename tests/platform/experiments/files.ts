/** Times, modes, links and renames below a narrowed root: the directory `root` of the experiment's own. */
import type { System } from "../../../lib/system.ts";
import { outcomeOf } from "./outcome.ts";

const noBytes = new Uint8Array();
const plain = { mode: 0o644, mtimeNs: 0n };

/** Writes a file for each of the times in `argument` (ns, separated by commas) and reads the times back. */
export async function times(system: System, dir: string, argument: string) {
  await system.sandbox.narrow([dir]);
  const read: string[] = [];
  for (const [i, mtimeNs] of argument.split(",").map(BigInt).entries()) {
    const file = `${dir}/root/times-${i}`;
    system.fs.createFileSync(file, noBytes, { mode: 0o644, mtimeNs });
    read.push(String((await system.fs.lstat(file)).mtimeNs));
  }
  return { resolutionNs: String(system.runtime.mtimeResolutionNs), read };
}

/** Creates a file and directories with each of a few modes and reads the modes back, in octal. */
export async function modes(system: System, dir: string) {
  await system.sandbox.narrow([dir]);
  const { fs } = system;
  const read: Record<string, string[]> = {};
  for (const mode of [0o600, 0o640, 0o755, 0o777, 0o1777, 0o2775]) {
    const place = `${dir}/root/mode-${mode}`;
    fs.createFileSync(`${place}-file`, noBytes, { mode, mtimeNs: 0n });
    fs.createDirectorySync(`${place}-sync`, mode);
    await fs.mkdir(`${place}-async`, mode);
    const stats = ["file", "sync", "async"].map((kind) => fs.lstat(`${place}-${kind}`));
    read[mode.toString(8)] = (await Promise.all(stats)).map((stat) => stat.mode.toString(8));
  }
  return read;
}

export async function links(system: System, dir: string) {
  await system.sandbox.narrow([`${dir}/root`]);
  const { fs } = system;
  const at = (name: string) => `${dir}/root/${name}`;
  const create = (name: string, text: string) =>
    fs.createFileSync(at(name), new TextEncoder().encode(text), plain);
  await fs.mkdir(at("links"), 0o755);
  await fs.mkdir(at("other"), 0o755);
  create("links/first", "first");
  create("links/second", "the second");
  return {
    ontoName: await outcomeOf(() => fs.link(at("links/first"), at("links/second"))),
    sizeOfName: (await fs.stat(at("links/second"))).size,
    acrossDirectories: await outcomeOf(() => fs.link(at("links/first"), at("other/link"))),
    isOneFile: (await fs.stat(at("links/first"))).ino === (await fs.stat(at("other/link"))).ino,
    ofAbsent: await outcomeOf(() => fs.link(at("links/absent"), at("other/absent"))),
  };
}

export async function directories(system: System, dir: string) {
  await system.sandbox.narrow([`${dir}/root`]);
  const { fs } = system;
  const at = (name: string) => `${dir}/root/${name}`;
  for (const name of ["staging", "full", "empty"]) await fs.mkdir(at(name), 0o755);
  for (const name of ["staging/inner", "full/inner", "file"]) fs.createFileSync(at(name), noBytes, plain);
  return {
    createExisting: await outcomeOf(() => fs.mkdir(at("full"), 0o755)),
    createExistingSync: await outcomeOf(() => fs.createDirectorySync(at("full"), 0o755)),
    removeFull: await outcomeOf(() => fs.rmdir(at("full"))),
    ontoFull: await outcomeOf(() => fs.rename(at("staging"), at("full"))),
    ontoFile: await outcomeOf(() => fs.rename(at("staging"), at("file"))),
    fileOntoDirectory: await outcomeOf(() => fs.rename(at("file"), at("empty"))),
    ontoAbsent: await outcomeOf(() => fs.rename(at("staging"), at("absent"))),
    ontoEmpty: await outcomeOf(() => fs.rename(at("absent"), at("empty"))),
    names: (await fs.list(at("empty"))).map(({ name, kind }) => `${name}: ${kind}`),
    ofAbsent: await outcomeOf(() => fs.rename(at("absent"), at("anywhere"))),
  };
}

/** Expects a dangling symlink at `root/dangling`. */
export async function exclusive(system: System, dir: string) {
  await system.sandbox.narrow([`${dir}/root`]);
  const { fs } = system;
  const at = (name: string) => `${dir}/root/${name}`;
  fs.createFileSync(at("exclusive"), new TextEncoder().encode("kept"), plain);
  return {
    onFile: await outcomeOf(() => fs.open(at("exclusive"), "wx")),
    onFileSync: await outcomeOf(() => fs.createFileSync(at("exclusive"), noBytes, plain)),
    sizeOfFile: (await fs.stat(at("exclusive"))).size,
    onDangling: await outcomeOf(() => fs.open(at("dangling"), "wx")),
    onDanglingSync: await outcomeOf(() => fs.createFileSync(at("dangling"), noBytes, plain)),
    kindOfDangling: (await fs.lstat(at("dangling"))).kind,
  };
}
