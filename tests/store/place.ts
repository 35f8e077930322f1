/** Directories for stores, on the real disk and by the test's own time. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { errnoOf } from "../../lib/errors.ts";
import type { Store } from "../../lib/store.ts";
import { openOrCreateStore, openStore } from "../../lib/store/directory.ts";
import type { FileSystem, OpenFile } from "../../lib/system.ts";
import { realSystem } from "../../lib/system/real.ts";
import { FakeClock } from "../fake_clock.ts";
import { withoutLinks } from "./faults.ts";

const { fs: realFs, random } = realSystem();

/** Makes one file system of another. */
export type Wrap = (fs: FileSystem) => FileSystem;

export const asIs: Wrap = (fs) => fs;

/** The ways to commit, and a file system on which a store chooses each. */
export const ways: readonly { commit: "link" | "rename"; wrap: Wrap }[] = [
  { commit: "link", wrap: asIs },
  { commit: "rename", wrap: withoutLinks },
];

/** A fresh directory for a store. */
export class Place implements Disposable {
  readonly dir: string;
  /** The share's clock. */
  readonly clock = new FakeClock();
  readonly #base = fs.mkdtempSync(path.join(os.tmpdir(), "b10-store-"));

  constructor(mode = 0o755) {
    this.dir = path.join(this.#base, "cache");
    fs.mkdirSync(this.dir);
    fs.chmodSync(this.dir, mode);
  }

  [Symbol.dispose](): void {
    fs.rmSync(this.#base, { recursive: true });
  }

  /** The real file system, but for the time at which files are made and written: the share's clock says it. */
  world(wrap: Wrap = asIs) {
    const open: FileSystem["open"] = async (file, mode) => {
      const opened = await realFs.open(file, mode);
      return mode === "wx" ? this.#stamped(file, opened) : opened;
    };
    return { fs: wrap({ ...realFs, open }), random, clock: this.clock };
  }

  #stamped(file: string, opened: OpenFile): OpenFile {
    const stamp = () => {
      // Where there are no hard links it is the directory around the file that gets the name.
      for (const each of [file, path.dirname(file)]) setTime(each, this.clock.nowMs());
    };
    stamp();
    return {
      ...opened,
      append: async (bytes) => {
        await opened.append(bytes);
        stamp();
      },
    };
  }

  openOrCreate(wrap?: Wrap): Promise<Store> {
    return openOrCreateStore(this.world(wrap), this.dir);
  }

  open(wrap?: Wrap): Promise<Store | undefined> {
    return openStore(this.world(wrap), this.dir);
  }

  /** As `open`, where there is a store. */
  async opened(wrap?: Wrap): Promise<Store> {
    const store = await this.open(wrap);
    assert.ok(store, "there is no store");
    return store;
  }

  /** Where something lies below native/. */
  at(below: string): string {
    return path.join(this.dir, "native", below);
  }

  write(below: string, content: string): void {
    fs.mkdirSync(path.dirname(this.at(below)), { recursive: true });
    fs.writeFileSync(this.at(below), content);
  }

  /** Writes a file that was last changed so long ago, by the share's clock. */
  writeOld(below: string, content: string, ageMs: number): void {
    this.write(below, content);
    setTime(this.at(below), this.clock.nowMs() - ageMs);
  }

  read(below: string): string {
    return fs.readFileSync(this.at(below), "utf8");
  }

  /** The paths below native/ of all that lies in `below`; directories end with a slash. */
  tree(below = ""): string[] {
    if (!fs.existsSync(this.at(below))) return [];
    return fs.readdirSync(this.at(below), { withFileTypes: true }).flatMap((entry) => {
      const name = path.join(below, entry.name);
      return entry.isDirectory() ? [`${name}/`, ...this.tree(name)] : [name];
    }).sort();
  }
}

/** What was renamed or removed meanwhile keeps its time. */
function setTime(file: string, ms: number): void {
  try {
    fs.utimesSync(file, ms / 1000, ms / 1000);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

const content = "(\\/(content)?)?";
const layerName = "[0-9a-f]{64}-[0-9a-f]{32}\\.tar\\.zst";
const nonce = "[0-9a-f]{32}";
const keyName = "[\\w.-]+";

/** Finished things in a store, of either way to commit, and the directories that hold them. */
const finished = [
  new RegExp(`^format\\.json${content}$`),
  new RegExp(`^${keyName}\\/generations\\/\\d{10}\\.json${content}$`),
  new RegExp(`^${keyName}\\/(used|layers\\/${layerName}|marks\\/${nonce}\\.json)$`),
  new RegExp(`^(${keyName}\\/lease|leases\\/save-\\d{2,3})\\.json${content}$`),
  new RegExp(`^${keyName}\\/((generations|layers|incoming|marks)\\/)?$`),
];

/** Whatever in the store is not finished. */
export function unfinished(place: Place): string[] {
  return place.tree().filter((name) => !finished.some((pattern) => pattern.test(name)));
}
