/** The files of pods: what is planted, and what has become of it. */
import type { FileSystem } from "../../lib/system.ts";
import { oldMtimeNs } from "../pods.ts";
import type { Entry } from "./memory_disk.ts";

/** Contents by path. */
export type Files = Readonly<Record<string, string>>;

/** All that is to be restored of a file in a line, by path. */
export type Tree = Readonly<Record<string, string>>;

type Facts = Pick<Entry, "mode" | "mtimeNs" | "content">;

const nsPerS = 1_000_000_000n;

/** Modes and times differ as the files do. */
function factsOf(file: string, text: string): Facts {
  return {
    mode: file.endsWith(".so") ? 0o755 : 0o644,
    mtimeNs: oldMtimeNs + BigInt(file.length + 100 * text.length) * nsPerS,
    content: new TextEncoder().encode(text),
  };
}

/** Makes the directory `dir` with these files. What is there by such a name is replaced. */
export async function plant(fs: FileSystem, dir: string, files: Files): Promise<void> {
  await makeDirectory(fs, dir);
  for (const [file, text] of Object.entries(files)) {
    const place = `${dir}/${file}`;
    await makeDirectory(fs, place.slice(0, place.lastIndexOf("/")));
    await fs.unlink(place).catch(() => {});
    const { content, ...facts } = factsOf(file, text);
    fs.createFileSync(place, content, facts);
  }
}

async function makeDirectory(fs: FileSystem, dir: string): Promise<void> {
  if (dir === "") return;
  await makeDirectory(fs, dir.slice(0, dir.lastIndexOf("/")));
  await fs.mkdir(dir, 0o755).catch(() => {});
}

/** What `plant` plants. */
export function treeOf(files: Files): Tree {
  return Object.fromEntries(
    Object.entries(files).map(([file, text]) => [file, restoredFacts(factsOf(file, text))]),
  );
}

/** What is to be restored of a file: mode, modification time, content. */
export function restoredFacts({ mode, mtimeNs, content }: Facts): string {
  return `${mode.toString(8)} ${mtimeNs} ${textOf(content)}`;
}

/** One character a byte. */
export function textOf(content: Uint8Array): string {
  return Buffer.from(content.buffer, content.byteOffset, content.length).toString("latin1");
}

export function isSameTree(one: Tree, other: Tree): boolean {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}
