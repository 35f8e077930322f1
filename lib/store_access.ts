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

/** A directory of the store, or above it. */
export interface Accessed extends Owned {
  readonly dir: string;
}

/** "user 0 and group 1000 (mode 775)": of a directory, whose writers can put names there. */
export function writersOf({ mode, uid, gid }: Owned): string {
  const shown = `(mode ${(mode & 0o7777).toString(8)})`;
  if (mode & allWrite) return `everyone ${shown}`;
  return `user ${uid}${mode & groupWrites ? ` and group ${gid}` : ""} ${shown}`;
}

/** "user 0 (mode 755); native: everyone (mode 777)": of the store, and of what lies in or above it where others can. */
export function writersOfAll(store: Accessed, others: readonly Accessed[]): string {
  const open = others.filter((each) => isBelow(each, store) ? hasOthers(each, store) : isOpen(each));
  const shown = open.map((each) => {
    const name = isBelow(each, store) ? each.dir.slice(store.dir.length + 1) : each.dir;
    return `${name}: ${writersOf(each)}`;
  });
  return [writersOf(store), ...shown].join("; ");
}

/** What to say of directories in which everyone can also remove and replace what others wrote. */
export function accessNotices(store: string, directories: readonly Accessed[]): string[] {
  return directories.filter(isOpen).map(({ dir }) =>
    `everyone can write to ${quote(dir)}, ${
      dir === store ? "the store" : `in or above the store ${quote(store)}`
    }, ` +
    `and so make every pod run code: chmod o-w ${dir}, or at least chmod +t ${dir}`
  );
}

function isOpen({ mode }: Owned): boolean {
  return (mode & allWrite) !== 0 && (mode & sticky) === 0;
}

/** Somebody can write to it who cannot write to the store. */
function hasOthers(each: Owned, store: Owned): boolean {
  if (store.mode & allWrite) return false;
  const isOtherGroup = (each.mode & groupWrites) !== 0 &&
    ((store.mode & groupWrites) === 0 || each.gid !== store.gid);
  return (each.mode & allWrite) !== 0 || isOtherGroup || each.uid !== store.uid;
}

function isBelow({ dir }: Accessed, store: Accessed): boolean {
  return dir.startsWith(`${store.dir}/`);
}
