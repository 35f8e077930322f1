/** Who can write to a store: whoever can may make every pod run code. Pure. */
import { quote } from "./text.ts";

interface Owned {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

const groupWrites = 0o020;
const allWrite = 0o002;
const sticky = 0o1000;

/** "user 0 and group 1000 (mode 775)": of a directory, whose writers can put names there. */
export function writersOf({ mode, uid, gid }: Owned): string {
  const shown = `(mode ${(mode & 0o7777).toString(8)})`;
  if (mode & allWrite) return `everyone ${shown}`;
  return `user ${uid}${mode & groupWrites ? ` and group ${gid}` : ""} ${shown}`;
}

/** What to say of a store in which everyone can also remove and replace what others wrote. */
export function accessNotice(dir: string, { mode }: Owned): string | undefined {
  if (!(mode & allWrite) || mode & sticky) return undefined;
  return `everyone can write to the store ${quote(dir)}, and so make every pod run code: ` +
    `chmod o-w ${dir}, or at least chmod +t ${dir}`;
}
