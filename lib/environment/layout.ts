/** Where an interpreter keeps its packages, read from its files alone, where the layout leaves no doubt. */
import { basename, dirname, join, resolve } from "node:path/posix";
import type { FileSystem, System } from "../system.ts";
import { parsePathFile } from "./pth_file.ts";
import { parseVenvConfig, type VenvConfig } from "./pyvenv_cfg.ts";
import { listNames, readStart, readText } from "./read_text.ts";

export interface PlainSite {
  /** "3.11"; "3.13t" for a free-threaded build. */
  readonly version: string;
  /** Its site-packages: the first directory with packages. */
  readonly dir: string;
}

type World = Pick<System, "fs" | "env" | "host">;

/** Each moves or adds to what an interpreter sees. (Python's own list: `python --help-env`.) */
const environmentThatDecides = ["PYTHONPATH", "PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONUSERBASE"];

const versionedName = /^python(3\.\d+t?)$/;

/**
 * A virtual environment without the system's packages, or an interpreter that is installed below a prefix of
 * its own (conda, uv, pyenv, the `python` images). Not plain are, among others: a shim or wrapper script;
 * Debian's and Fedora's own Python below /usr (dist-packages, lib64); packages in the user's home;
 * PYTHONPATH; macOS frameworks.
 * @returns undefined where the interpreter itself must be asked.
 */
export async function plainSite(world: World, python: string): Promise<PlainSite | undefined> {
  if (environmentThatDecides.some((name) => world.env[name])) return undefined;
  const [elf, real, venv, versions] = await Promise.all([
    isElf(world.fs, python),
    realPath(world.fs, python),
    findVenv(world.fs, python),
    versionsBelow(world.fs, dirname(dirname(python))),
  ]);
  if (!elf || real === undefined) return undefined;
  return venv ? venvSite(venv, { versions, real }) : await installedSite(world, real);
}

export interface Additions {
  /** The directories that follow the site directory on sys.path. */
  readonly dirs: readonly string[];
  /** Some code may make more packages visible. */
  readonly code: boolean;
}

/** What the `.pth` files in a site directory add, in Python's order. */
export async function pathFileAdditions(fs: FileSystem, site: string): Promise<Additions> {
  const names = (await listNames(fs, site)).filter((name) => name.endsWith(".pth")).sort();
  const texts = await Promise.all(names.map((name) => readText(fs, join(site, name))));
  const files = texts.map((text) => text === undefined ? { dirs: [], code: true } : parsePathFile(text));
  return {
    dirs: files.flatMap(({ dirs }) => dirs.map((dir) => resolve(site, dir))),
    code: files.some(({ code }) => code),
  };
}

/** A script in the interpreter's place (pyenv's shims, wrappers) may start any Python. */
async function isElf(fs: FileSystem, path: string): Promise<boolean> {
  const [first, ...rest] = await readStart(fs, path, 4) ?? [];
  return first === 0x7f && String.fromCharCode(...rest) === "ELF";
}

async function realPath(fs: FileSystem, path: string): Promise<string | undefined> {
  try {
    return await fs.realPath(path);
  } catch {
    return undefined;
  }
}

interface Venv {
  readonly prefix: string;
  readonly config: VenvConfig;
}

/**
 * One level above the executable first, then beside it; the link's place counts (CPython:
 * Modules/getpath.py).
 */
async function findVenv(fs: FileSystem, python: string): Promise<Venv | undefined> {
  const beside = dirname(python);
  const prefix = dirname(beside);
  const [above, here] = await Promise.all(
    [prefix, beside].map((dir) => readText(fs, join(dir, "pyvenv.cfg"))),
  );
  const text = above ?? here;
  return text === undefined ? undefined : { prefix, config: parseVenvConfig(text) };
}

/** "3.11" for lib/python3.11. */
async function versionsBelow(fs: FileSystem, prefix: string): Promise<string[]> {
  return (await listNames(fs, join(prefix, "lib"))).flatMap((name) => versionOf(name) ?? []);
}

interface VenvFacts {
  readonly versions: readonly string[];
  /** The interpreter that the environment's link leads to. */
  readonly real: string;
}

function venvSite({ prefix, config }: Venv, { versions, real }: VenvFacts): PlainSite | undefined {
  const [version] = versions;
  if (config.systemSite || version === undefined || versions.length > 1) return undefined;
  // An upgrade of the system's Python can leave an environment behind that was made for the one before.
  const claims = [config.version, versionOf(basename(real))].filter((claim) => claim !== undefined);
  if (claims.some((claim) => withoutThreads(claim) !== withoutThreads(version))) return undefined;
  return { version, dir: siteOf(prefix, version) };
}

async function installedSite({ fs, env, host }: World, real: string): Promise<PlainSite | undefined> {
  const version = versionOf(basename(real));
  const prefix = dirname(dirname(real));
  if (version === undefined || prefix === "/usr" || host.platform !== "linux") return undefined;
  const home = env["HOME"] || host.homeDir;
  const [landmark, user] = await Promise.all([
    exists(fs, join(prefix, "lib", `python${version}`, "os.py")),
    exists(fs, siteOf(join(home, ".local"), version)),
  ]);
  if (!landmark || (user && !env["PYTHONNOUSERSITE"])) return undefined;
  return { version, dir: siteOf(prefix, version) };
}

function siteOf(prefix: string, version: string): string {
  return join(prefix, "lib", `python${version}`, "site-packages");
}

function versionOf(name: string): string | undefined {
  return versionedName.exec(name)?.[1];
}

/** pyvenv.cfg says 3.13 for a free-threaded 3.13t too. */
function withoutThreads(version: string): string {
  return version.replace(/t$/, "");
}

async function exists(fs: FileSystem, path: string): Promise<boolean> {
  try {
    await fs.stat(path);
    return true;
  } catch {
    return false;
  }
}
