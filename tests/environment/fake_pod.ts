/** A pod made of a few named files, for the detection of its environment. */
import { dirname } from "node:path/posix";
import type {
  CapturedRun,
  DirectoryEntry,
  FileStat,
  FileSystem,
  Host,
  OpenFile,
  System,
} from "../../lib/system.ts";
import { fakeSystem, only } from "../fake_system.ts";

export interface FakePod {
  /** Path → content; a file whose content starts with "#!" or the ELF magic is executable. */
  readonly files?: Readonly<Record<string, string>>;
  /** Path → the path that it leads to. */
  readonly links?: Readonly<Record<string, string>>;
  /** What lies below /proc, /sys and /dev. */
  readonly kernel?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly host?: Partial<Host>;
  /** What a program prints; one that is not here is not installed. */
  readonly programs?: Readonly<Record<string, Partial<CapturedRun>>>;
}

export const elf = "\x7fELF\x02\x01\x01";

export interface RunningPod {
  readonly system: System;
  /** The command lines of the programs that were started. */
  readonly started: readonly (readonly string[])[];
}

export function startPod(pod: FakePod): RunningPod {
  const started: (readonly string[])[] = [];
  const kernel = pod.kernel ?? {};
  const system = fakeSystem({
    fs: fileSystemOf(pod),
    env: { PATH: "/usr/local/bin:/usr/bin", ...pod.env },
    host: only<Host>("host", {
      platform: "linux",
      machine: "x86_64",
      homeDir: "/root",
      workingDir: "/app",
      kernelFile: (path) => kernel[path],
      kernelDirectory: (path) => namesBelow(Object.keys(kernel), path),
      ...pod.host,
    }),
    processes: only<System["processes"]>("processes", {
      capture: (argv) => {
        started.push(argv);
        const run = pod.programs?.[argv[0] ?? ""];
        if (!run) return Promise.reject(failure("ENOENT", `spawn ${argv[0]}`));
        return Promise.resolve({ code: 0, stdout: "", stderr: "", timedOut: false, ...run });
      },
    }),
  });
  return { system, started };
}

function fileSystemOf({ files = {}, links = {} }: FakePod): FileSystem {
  const paths = [...Object.keys(files), ...Object.keys(links)];
  const real = (path: string): string => {
    for (let at = path; at !== dirname(at); at = dirname(at)) {
      const to = links[at];
      if (to !== undefined) return real(to + path.slice(at.length));
    }
    return path;
  };
  const read = (path: string): string => {
    const content = files[real(path)];
    if (content === undefined) throw failure("ENOENT", path);
    return content;
  };
  const isDirectory = (path: string) => namesBelow(paths, real(path)).length > 0;
  return only<FileSystem>("fs", {
    open: (path) => settle(() => openFile(read(path))),
    stat: (path) => settle(() => isDirectory(path) ? statOf("directory", 0o755) : statOfFile(read(path))),
    list: (path) =>
      settle(() => {
        if (!isDirectory(path)) throw failure("ENOENT", path);
        return namesBelow(paths, real(path)).map((name): DirectoryEntry => ({ name, kind: "other" }));
      }),
    realPath: (path) =>
      settle(() => {
        if (!isDirectory(path)) read(path);
        return real(path);
      }),
  });
}

/** As a real call: what fails, rejects. */
async function settle<T>(act: () => T): Promise<T> {
  return await act();
}

function openFile(content: string): OpenFile {
  const bytes = new TextEncoder().encode(content);
  return only<OpenFile>("file", {
    read: (into, position) => {
      const part = bytes.subarray(position, position + into.length);
      into.set(part);
      return Promise.resolve(part.length);
    },
    close: () => Promise.resolve(),
  });
}

function statOfFile(content: string): FileStat {
  return statOf("file", content.startsWith("#!") || content.startsWith(elf) ? 0o755 : 0o644);
}

function statOf(kind: "file" | "directory", mode: number): FileStat {
  return only<FileStat>("stat", { kind, mode });
}

function namesBelow(paths: readonly string[], dir: string): string[] {
  const prefix = dir.endsWith("/") ? dir : `${dir}/`;
  const below = paths.filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
  return [...new Set(below.map((path) => path.split("/")[0] ?? ""))];
}

function failure(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
