/** What one process asks of its file systems, call by call, and what goes wrong at one of these calls. */
import type { FileSystem, OpenFile } from "../../lib/system.ts";
import { type Call, failure } from "../pods.ts";

/** A call of a file system or of an open file. */
export interface FileCall extends Call {
  /** What it is about: its first path, or that of the open file. */
  readonly path: string;
}

export interface Fault {
  readonly name: string;
  /** How much of the call takes place. A file is closed in any case. */
  readonly effect: "nothing" | "half" | "all";
  /** The errno that comes back, another's answer, or what else becomes of it. */
  readonly answer: { readonly errno: string } | { readonly by: Answer } | Ending;
  /** The calls at which it makes a difference. */
  readonly concerns: (call: FileCall) => boolean;
  /** It stays so: every later call that it concerns comes to the same. */
  readonly lasts?: true;
}

export type Answer = (call: FileCall) => Promise<unknown>;

export type Ending =
  /** Nothing that the process does from then on counts. */
  | "death"
  /** A read gets one byte. */
  | "fewer"
  /** A read gets none, as if the file ended there. */
  | "none";

/** What is done at one call. */
export interface Disturbance {
  /** Which one, counted from 1; or the first one that is like that. */
  readonly at: number | ((call: FileCall) => boolean);
  readonly fault?: Fault;
  /** What others do before the call is made. A call that cannot be waited with is no such place. */
  readonly meanwhile?: () => Promise<void>;
}

/** Calls that leave things as they are. */
const readingCalls = new Set([
  "read",
  "stat",
  "lstat",
  "lstatSync",
  "list",
  "realPath",
  "isWritable",
  "freeBytes",
  "fileSystemType",
]);

/** Whether the call would change something. */
export function isChange({ name, args }: FileCall): boolean {
  return name === "open" ? args[1] === "wx" : !readingCalls.has(name);
}

/** Whether the call takes several steps, so that the process can end in between. */
export function hasHalf(call: FileCall): boolean {
  return halfOf(call) !== undefined;
}

export function isSynchronous({ name }: FileCall): boolean {
  return name.endsWith("Sync");
}

/** The file systems of one process. */
export class FaultyFiles {
  readonly calls: FileCall[] = [];
  /** Resolves once the process is dead. */
  readonly died: Promise<"died">;
  readonly #disturbance: Disturbance | undefined;
  readonly #open = new Set<OpenFile>();
  #die: () => void = () => {};
  #isDead = false;
  #disturbed: FileCall | undefined;

  constructor(disturbance?: Disturbance) {
    this.#disturbance = disturbance;
    this.died = new Promise((resolve) => this.#die = () => resolve("died"));
  }

  /** The call of the disturbance, if it came to that. */
  get disturbed(): FileCall | undefined {
    return this.#disturbed;
  }

  over(fs: FileSystem): FileSystem {
    return this.#over(fs);
  }

  /** Closes what the process did not, as the kernel does for a dead one. */
  async end(): Promise<void> {
    this.#isDead = true;
    for (const file of this.#open) await file.close();
    this.#open.clear();
  }

  #over<T extends object>(target: T, openPath?: string): T {
    return new Proxy(target, {
      get: (object, property) => {
        const member: unknown = Reflect.get(object, property);
        if (typeof member !== "function") return member;
        const name = String(property);
        const make = (args: readonly unknown[]): unknown => {
          if (name === "close") this.#open.delete(object as OpenFile);
          return Reflect.apply(member, object, [...args]);
        };
        // What is written is the caller's, who may use its memory for something else afterwards.
        const kept = (arg: unknown) =>
          name.startsWith("createFile") && arg instanceof Uint8Array ? Uint8Array.from(arg) : arg;
        const callWith = (args: unknown[]) => ({
          name,
          args: args.map(kept),
          path: openPath ?? String(args[0]),
        });
        return name.endsWith("Sync")
          ? (...args: unknown[]) => this.#makeAtOnce(callWith(args), make)
          : (...args: unknown[]) => this.#make(callWith(args), make);
      },
    });
  }

  async #make(call: FileCall, make: (args: readonly unknown[]) => unknown): Promise<unknown> {
    const due = this.#count(call);
    if (this.#isDead) return await new Promise(() => {});
    if (due?.meanwhile) await due.meanwhile();
    const fault = due?.fault;
    if (!fault) return this.#opened(call, await make(call.args));
    const args = argsOf(call, fault);
    if (args) this.#opened(call, await make(args));
    switch (fault.answer) {
      case "death":
        this.#isDead = true;
        this.#die();
        return await new Promise(() => {});
      case "fewer":
      case "none":
        return await make([callBuffer(call).subarray(0, fault.answer === "none" ? 0 : 1), call.args[1]]);
    }
    if ("by" in fault.answer) return await fault.answer.by(call);
    throw failure(fault.answer.errno);
  }

  #makeAtOnce(call: FileCall, make: (args: readonly unknown[]) => unknown): unknown {
    const fault = this.#count(call)?.fault;
    if (this.#isDead) throw new Error("the process is dead");
    if (!fault) return make(call.args);
    const args = argsOf(call, fault);
    if (args) make(args);
    if (typeof fault.answer === "object" && "errno" in fault.answer) throw failure(fault.answer.errno);
    this.#isDead = true;
    this.#die();
    throw new Error("the process is dead");
  }

  #count(call: FileCall): Disturbance | undefined {
    if (this.#isDead) return undefined;
    this.calls.push(call);
    const at = this.#disturbance?.at;
    const isDue = typeof at === "function" ? !this.#disturbed && at(call) : this.calls.length === at;
    const fault = this.#disturbance?.fault;
    if (this.#disturbed && fault?.lasts && fault.concerns(call)) return this.#disturbance;
    if (!isDue) return undefined;
    this.#disturbed = call;
    return this.#disturbance;
  }

  #opened({ name, path }: FileCall, result: unknown): unknown {
    if (name !== "open") return result;
    const file = result as OpenFile;
    this.#open.add(file);
    return this.#over(file, path);
  }
}

/** With what the call is made nevertheless, if it is. */
function argsOf(call: FileCall, { effect }: Fault): readonly unknown[] | undefined {
  if (effect === "all" || call.name === "close") return call.args;
  return effect === "half" ? halfOf(call) : undefined;
}

/** What is there before the mode is set that was asked for. */
const firstMode = 0o600;
const firstDirectoryMode = 0o700;

function halfOf({ name, args }: FileCall): readonly unknown[] | undefined {
  const [first, second, third] = args;
  switch (name) {
    case "append":
      return first instanceof Uint8Array && first.length > 1
        ? [first.subarray(0, first.length >> 1)]
        : undefined;
    case "createFile":
    case "createFileSync":
      return second instanceof Uint8Array && typeof third === "object"
        ? [first, second.subarray(0, second.length >> 1), { ...third, mode: firstMode }]
        : undefined;
    case "mkdir":
    case "createDirectorySync":
      return [first, firstDirectoryMode];
    default:
      return undefined;
  }
}

function callBuffer({ args: [into] }: FileCall): Uint8Array {
  if (into instanceof Uint8Array) return into;
  throw new Error("Cannot change what is read as the call is no read");
}
