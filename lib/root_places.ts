/**
 * Where on a pod the programs that compile keep their caches: each one's own variable, else its own default, as vLLM
 * 0.32, torch 2.13, Triton 3.6, FlashInfer, DeepGEMM and TileLang have them. Pure.
 */
import { isAbsolute, join, normalize } from "node:path/posix";
import { quoteShort } from "./entry_rules.ts";
import { rootNamePattern } from "./roots.ts";

export interface RootPlace {
  readonly name: string;
  /** As the program that writes there has it: absolute, symlinks and all. */
  readonly path: string;
  /** For messages: what says so. */
  readonly source: string;
  /** It is where that program keeps its cache by default: no setting led there. */
  readonly isDefault: boolean;
}

type Env = Readonly<Record<string, string | undefined>>;

interface KnownRoot {
  readonly name: string;
  readonly variable: string;
  /** Below the directory that the variable names. */
  readonly below?: string;
  readonly byDefault: (places: { home: string; cacheHome: string; env: Env }) => string;
}

/** vLLM's and torch's own come from the settings, which have the same variables and defaults. */
const knownRoots: readonly KnownRoot[] = [
  {
    name: "triton",
    variable: "TRITON_CACHE_DIR",
    byDefault: ({ home, env }) => join(env["TRITON_HOME"] || home, ".triton/cache"),
  },
  {
    name: "flashinfer",
    variable: "FLASHINFER_WORKSPACE_BASE",
    below: ".cache/flashinfer",
    byDefault: ({ home }) => join(home, ".cache/flashinfer"),
  },
  { name: "deep_gemm", variable: "DG_JIT_CACHE_DIR", byDefault: ({ home }) => join(home, ".deep_gemm") },
  {
    name: "tilelang",
    variable: "TILELANG_CACHE_DIR",
    byDefault: ({ home }) => join(home, ".tilelang/cache"),
  },
  {
    name: "torch_extensions",
    variable: "TORCH_EXTENSIONS_DIR",
    byDefault: ({ cacheHome }) => join(cacheHome, "torch_extensions"),
  },
];

export interface FoundRoots {
  readonly places: readonly RootPlace[];
  /** What is left out, and why, a sentence each. */
  readonly notices: readonly string[];
}

/** Every cache of this pod but vLLM's and torch's. A variable of another program is never an error of this one. */
export function findRootPlaces({ homeDir, env }: { homeDir: string; env: Env }): FoundRoots {
  const cacheHome = env["XDG_CACHE_HOME"] || join(homeDir, ".cache");
  const places: RootPlace[] = [];
  const notices: string[] = [];
  for (const { name, variable, below, byDefault } of knownRoots) {
    const value = env[variable];
    const isDefault = !value;
    const path = value ? join(value, below ?? "") : byDefault({ home: homeDir, cacheHome, env });
    if (isAbsolute(path)) {
      places.push({ name, path: withoutTrailingSlash(path), source: isDefault ? name : variable, isDefault });
    } else {
      notices.push(`the ${name} cache is left out as ${variable} ${quoteShort(value ?? "")} is not absolute`);
    }
  }
  return { places, notices };
}

/** Why `--root` cannot be used, in words that follow "it must". */
export class RootRule extends Error {
  override readonly name = "RootRule";
}

/** Reads `--root name=dir`. @throws {RootRule} */
export function parseRootOption(text: string): RootPlace {
  const equals = text.indexOf("=");
  const name = text.slice(0, Math.max(equals, 0));
  const path = text.slice(equals + 1);
  if (equals < 1) throw new RootRule("be name=directory");
  if (!rootNamePattern.test(name)) throw new RootRule(`have a name that matches ${rootNamePattern.source}`);
  if (!isAbsolute(path) || path.includes("\0")) throw new RootRule("name an absolute directory");
  if (path.split("/").includes("..")) throw new RootRule('have no ".." in its directory');
  return { name, path: withoutTrailingSlash(path), source: "--root", isDefault: false };
}

function withoutTrailingSlash(path: string): string {
  const plain = normalize(path);
  return plain.length > 1 && plain.endsWith("/") ? plain.slice(0, -1) : plain;
}
