/**
 * A disk in memory, which the processes of a trial share. Its time is the test's, it goes back to any moment at once,
 * and a call on it costs next to nothing. There are no symlinks on it.
 */
import type { FileStat, FileSystem, OpenFile } from "../../lib/system.ts";
import { failure as newFailure } from "../pods.ts";

interface FileNode {
  readonly kind: "file";
  readonly ino: bigint;
  mode: number;
  mtimeNs: bigint;
  ctimeNs: bigint;
  /** Never changed in place: a moment that was remembered has it too. */
  content: Uint8Array;
}

interface DirectoryNode {
  readonly kind: "directory";
  readonly ino: bigint;
  mode: number;
  mtimeNs: bigint;
  ctimeNs: bigint;
  entries: Map<string, Node>;
}

type Node = FileNode | DirectoryNode;

/** How a disk was: see `remember` and `restore`. */
export interface Moment {
  readonly root: DirectoryNode;
  readonly nowMs: number;
}

/** What lies at a path. */
export interface Entry {
  readonly kind: "file" | "directory";
  readonly ino: bigint;
  readonly mode: number;
  readonly mtimeNs: bigint;
  /** Of a file: its bytes. */
  readonly content: Uint8Array;
}

const nsPerMs = 1_000_000n;
const noBytes = new Uint8Array(0);
const freeBytes = 2 ** 40;
const tmpfsMagic = 0x01021994;

const failures = new Map<string, Error>();

/** One for all: to make one costs more than any call. */
function failure(code: string): Error {
  const known = failures.get(code) ?? newFailure(code);
  failures.set(code, known);
  return known;
}

export class MemoryDisk {
  /** The time of what is made or changed. It stands still but for those who let it pass. */
  nowMs: number;
  #root: DirectoryNode;
  #inodes = 0n;

  constructor(nowMs: number) {
    this.nowMs = nowMs;
    this.#root = this.#newDirectory(0o755);
  }

  readonly files: FileSystem = {
    open: (path, mode) => settle(() => this.#open(path, mode)),
    stat: (path) => settle(() => statOf(this.#at(path))),
    lstat: (path) => settle(() => statOf(this.#at(path))),
    list: (path) =>
      settle(() => [...this.#directoryAt(path).entries].map(([name, { kind }]) => ({ name, kind }))),
    mkdir: (path, mode) => settle(() => this.#mkdir(path, mode)),
    chmod: (path, mode) => settle(() => this.#chmod(this.#at(path), mode)),
    chown: (path) => settle(() => void this.#at(path)),
    link: (existing, path) => settle(() => this.#link(existing, path)),
    rename: (from, to) => settle(() => this.#rename(from, to)),
    unlink: (path) => settle(() => this.#unlink(path)),
    rmdir: (path) => settle(() => this.#rmdir(path)),
    realPath: (path) => settle(() => (this.#at(path), path)),
    isWritable: (path) => settle(() => this.#find(path) !== undefined),
    syncDirectory: (path) => settle(() => void this.#at(path)),
    freeBytes: (path) => settle(() => (this.#at(path), freeBytes)),
    fileSystemType: (path) => settle(() => (this.#at(path), tmpfsMagic)),
    createDirectorySync: (path, mode) => this.#mkdir(path, mode),
    createFileSync: (path, bytes, { mode, mtimeNs }) => {
      const file = this.#create(path, mode);
      // Not slice(), which for a Buffer is a view of the same memory.
      file.content = Uint8Array.from(bytes);
      file.mtimeNs = mtimeNs;
      return statOf(file);
    },
    createFile: (path, bytes, facts) => settle(() => this.files.createFileSync(path, bytes, facts)),
    lstatSync: (path) => statOf(this.#at(path)),
  };

  /** Every directory and file, parents first, by its path. @param isWanted of a directory, with all below it. */
  entries(isWanted: (path: string) => boolean = () => true): Map<string, Entry> {
    const entries = new Map<string, Entry>();
    const walk = (directory: DirectoryNode, prefix: string) => {
      for (const [name, node] of [...directory.entries].sort(([a], [b]) => a < b ? -1 : 1)) {
        const path = `${prefix}/${name}`;
        if (!isWanted(path)) continue;
        const { kind, ino, mode, mtimeNs } = node;
        entries.set(path, { kind, ino, mode, mtimeNs, content: kind === "file" ? node.content : noBytes });
        if (kind === "directory") walk(node, path);
      }
    };
    walk(this.#root, "");
    return entries;
  }

  remember(): Moment {
    return { root: copyOf(this.#root), nowMs: this.nowMs };
  }

  /** It is as it was then. What is still open belongs to no disk any more. */
  restore({ root, nowMs }: Moment): void {
    this.#root = copyOf(root);
    this.nowMs = nowMs;
  }

  /** The content of a file is lost: zeros are in its place. */
  lose(path: string): void {
    const node = this.#at(path);
    if (node.kind === "file") node.content = new Uint8Array(node.content.length);
  }

  #open(path: string, mode: "r" | "wx"): OpenFile {
    const node = mode === "wx" ? this.#create(path, 0o600) : this.#at(path);
    let isOpen = true;
    const on = <T>(act: () => T): Promise<T> =>
      settle(() => {
        if (!isOpen) throw failure("EBADF");
        return act();
      });
    // A file is opened for reading or for appending, never for both.
    const onlyIn = (allowed: "r" | "wx") => {
      if (mode !== allowed) throw failure("EBADF");
    };
    const file = () => {
      if (node.kind === "file") return node;
      throw failure("EISDIR");
    };
    return {
      read: (into, position) =>
        on(() => {
          onlyIn("r");
          const bytes = file().content.subarray(position, position + into.length);
          into.set(bytes);
          return bytes.length;
        }),
      append: (bytes) =>
        on(() => {
          onlyIn("wx");
          const { content } = file();
          const longer = new Uint8Array(content.length + bytes.length);
          longer.set(content);
          longer.set(bytes, content.length);
          file().content = longer;
          this.#touch(node);
        }),
      stat: () => on(() => statOf(node)),
      chmod: (bits) => on(() => this.#chmod(node, bits)),
      chown: () => on(() => {}),
      sync: () => on(() => {}),
      close: () => on(() => void (isOpen = false)),
    };
  }

  #create(path: string, mode: number): FileNode {
    const { parent, name, node } = this.#parentOf(path);
    if (node) throw failure("EEXIST");
    const file: FileNode = {
      kind: "file",
      ino: ++this.#inodes,
      mode,
      mtimeNs: 0n,
      ctimeNs: 0n,
      content: noBytes,
    };
    this.#touch(file);
    this.#put(parent, name, file);
    return file;
  }

  #mkdir(path: string, mode: number): void {
    const { parent, name, node } = this.#parentOf(path);
    if (node) throw failure("EEXIST");
    this.#put(parent, name, this.#newDirectory(mode));
  }

  #chmod(node: Node, mode: number): void {
    node.mode = mode;
    node.ctimeNs = this.#nowNs;
  }

  #link(existing: string, path: string): void {
    const linked = this.#at(existing);
    const { parent, name, node } = this.#parentOf(path);
    if (node) throw failure("EEXIST");
    if (linked.kind === "directory") throw failure("EPERM");
    linked.ctimeNs = this.#nowNs;
    this.#put(parent, name, linked);
  }

  #rename(from: string, to: string): void {
    const source = this.#parentOf(from);
    const target = this.#parentOf(to);
    if (!source.node) throw failure("ENOENT");
    if (source.node === target.node) return;
    if (to.startsWith(`${from}/`)) throw failure("EINVAL");
    if (source.node.kind === "directory" && target.node?.kind === "file") throw failure("ENOTDIR");
    if (source.node.kind === "file" && target.node?.kind === "directory") throw failure("EISDIR");
    if (target.node?.kind === "directory" && target.node.entries.size > 0) throw failure("ENOTEMPTY");
    this.#remove(source.parent, source.name);
    this.#put(target.parent, target.name, source.node);
    source.node.ctimeNs = this.#nowNs;
  }

  #unlink(path: string): void {
    const { parent, name } = this.#parentOf(path);
    if (this.#at(path).kind === "directory") throw failure("EISDIR");
    this.#remove(parent, name);
  }

  #rmdir(path: string): void {
    const { parent, name } = this.#parentOf(path);
    if (this.#directoryAt(path).entries.size > 0) throw failure("ENOTEMPTY");
    this.#remove(parent, name);
  }

  #put(parent: DirectoryNode, name: string, node: Node): void {
    parent.entries.set(name, node);
    this.#touch(parent);
  }

  #remove(parent: DirectoryNode, name: string): void {
    parent.entries.delete(name);
    this.#touch(parent);
  }

  #newDirectory(mode: number): DirectoryNode {
    const now = this.#nowNs;
    return { kind: "directory", ino: ++this.#inodes, mode, mtimeNs: now, ctimeNs: now, entries: new Map() };
  }

  #touch(node: Node): void {
    node.mtimeNs = node.ctimeNs = this.#nowNs;
  }

  get #nowNs(): bigint {
    return BigInt(Math.floor(this.nowMs)) * nsPerMs;
  }

  #at(path: string): Node {
    const node = this.#find(path);
    if (!node) throw failure("ENOENT");
    return node;
  }

  #directoryAt(path: string): DirectoryNode {
    const node = this.#at(path);
    if (node.kind === "directory") return node;
    throw failure("ENOTDIR");
  }

  #parentOf(path: string): { parent: DirectoryNode; name: string; node: Node | undefined } {
    const cut = path.lastIndexOf("/");
    const parent = this.#directoryAt(path.slice(0, cut));
    const name = path.slice(cut + 1);
    return { parent, name, node: parent.entries.get(name) };
  }

  /** @throws ENOTDIR for what would lie below a file. */
  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of path.split("/")) {
      if (name === "") continue;
      if (node?.kind === "file") throw failure("ENOTDIR");
      node = node?.entries.get(name);
      if (!node) return undefined;
    }
    return node;
  }
}

/** A file with several names stays one. */
function copyOf(root: DirectoryNode): DirectoryNode {
  const copies = new Map<FileNode, FileNode>();
  const copyFile = (file: FileNode): FileNode => {
    const copy = copies.get(file) ?? { ...file };
    copies.set(file, copy);
    return copy;
  };
  const copyDirectory = (directory: DirectoryNode): DirectoryNode => {
    const entries = new Map<string, Node>();
    for (const [name, node] of directory.entries) {
      entries.set(name, node.kind === "file" ? copyFile(node) : copyDirectory(node));
    }
    return { ...directory, entries };
  };
  return copyDirectory(root);
}

function statOf(node: Node): FileStat {
  const { kind, mode, mtimeNs, ctimeNs, ino } = node;
  const size = kind === "file" ? node.content.length : 0;
  return { kind, size, mode, mtimeNs, ctimeNs, dev: 1n, ino, uid: 0, gid: 0 };
}

/** What fails, rejects. */
async function settle<T>(act: () => T): Promise<T> {
  return await act();
}
