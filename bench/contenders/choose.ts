/** Who can take part on this machine, and why the others cannot. */
import { capture } from "../../scripts/process.ts";
import type { Contender, Places } from "./contender.ts";
import { peer } from "./peer.ts";
import { peerPython } from "./peer_python.ts";
import { asBinary, onDeno, program } from "./program.ts";
import { restic } from "./restic.ts";
import { copy, tarGzip, tarZstd } from "./shell.ts";

export const rivalIds = [
  "deno",
  "tar-zstd",
  "tar-gzip",
  "cp",
  "restic",
  "peer",
] as const;

export type RivalId = typeof rivalIds[number];

export interface LeftOut {
  readonly id: RivalId;
  readonly why: string;
}

export interface Field {
  readonly contenders: readonly Contender[];
  readonly leftOut: readonly LeftOut[];
}

const askTimeoutMs = 30 * 1000;

/** A contender, or why it cannot take part. */
type Candidate = Contender | string;

/**
 * This program, and every rival that is here and not in `without`.
 * @param canHostPeer the places lie below /cache/model.
 */
export async function chooseContenders(
  places: Places,
  { without, canHostPeer }: {
    without: readonly RivalId[];
    canHostPeer: boolean;
  },
): Promise<Field> {
  const candidates: Readonly<
    Record<RivalId, () => Promise<Candidate> | Candidate>
  > = {
    deno: async () => {
      const deno = await denoExecutable();
      return deno === undefined ? "no deno on the PATH" : program(places, onDeno(deno));
    },
    "tar-zstd": async () => (await answers("zstd")) ? tarZstd(places) : "no zstd on the PATH",
    "tar-gzip": () => tarGzip(places),
    cp: () => copy(places),
    restic: async () =>
      (await answers("restic", "version"))
        ? restic(places)
        : "no restic on the PATH (Debian: apt-get install restic)",
    peer: () => {
      if (!peerPython) {
        return "PEER_VENV does not name a Python environment with b10-transfer==0.4.1";
      }
      if (!canHostPeer) {
        return "its share must lie below /cache/model, and mounting one there needs root";
      }
      return peer(places, peerPython);
    },
  };
  const contenders: Contender[] = [program(places, asBinary)];
  const leftOut: LeftOut[] = [];
  for (const id of rivalIds) {
    const candidate = without.includes(id) ? `--without ${id}` : await candidates[id]();
    if (typeof candidate === "string") leftOut.push({ id, why: candidate });
    else contenders.push(candidate);
  }
  return { contenders, leftOut };
}

async function answers(
  command: string,
  question = "--version",
): Promise<boolean> {
  try {
    return (await capture([command, question], { timeoutMs: askTimeoutMs }))
      .code === 0;
  } catch {
    return false;
  }
}

/** The executable itself: what is on the PATH may be a script of Node's that starts it. */
async function denoExecutable(): Promise<string | undefined> {
  try {
    const { code, stdout } = await capture([
      "deno",
      "eval",
      "console.log(Deno.execPath())",
    ], {
      timeoutMs: askTimeoutMs,
    });
    return code === 0 ? stdout.trim() : undefined;
  } catch {
    return undefined;
  }
}
