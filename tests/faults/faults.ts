/** What goes wrong at one call. */
import { type Answer, type Fault, type FileCall, hasHalf, isChange, isSynchronous } from "./faulty_files.ts";
import { storeDir } from "./layout.ts";
import type { MemoryDisk } from "./memory_disk.ts";
import { failure } from "../pods.ts";

const always = () => true;

const onStore = ({ path }: FileCall) => path.startsWith(`${storeDir}/`);

/** The process ends before a call, and nothing that it would do afterwards counts. */
export const crash: Fault = { name: "crash", effect: "nothing", answer: "death", concerns: always };

/** The process ends within a call. */
export const tornCrash: Fault = { name: "torn crash", effect: "half", answer: "death", concerns: hasHalf };

/** A call fails, and has had no effect. */
export function failing(errno: string): Fault {
  return { name: errno, effect: "nothing", answer: { errno }, concerns: always };
}

/** A call fails half-way, as where a disk is full in the middle of a write. */
export const torn: Fault = { name: "torn", effect: "half", answer: { errno: "ENOSPC" }, concerns: hasHalf };

/** The share goes away, and does not come back for this process. */
export const shareGone: Fault = {
  name: "share gone",
  effect: "nothing",
  answer: { errno: "ENOTCONN" },
  concerns: onStore,
  lasts: true,
};

/** Flushing a file fails, and what was to be flushed is lost, as Linux does it. */
export function lostFlush(disk: MemoryDisk): Fault {
  const by: Answer = ({ path }) => {
    disk.lose(path);
    return Promise.reject(failure("EIO"));
  };
  return { name: "lost flush", effect: "nothing", answer: { by }, concerns: ({ name }) => name === "sync" };
}

/** A call has its effect, and fails nevertheless: a network lost the answer. */
export const lostAnswer: Fault = {
  name: "lost",
  effect: "all",
  answer: { errno: "EIO" },
  concerns: isChange,
};

const isRead = ({ name }: FileCall) => name === "read";

/** A read gets a part of what is there. */
export const shortRead: Fault = { name: "short read", effect: "nothing", answer: "fewer", concerns: isRead };

/** A read gets nothing once, as if the file ended there. */
export const earlyEnd: Fault = { name: "early end", effect: "nothing", answer: "none", concerns: isRead };

/** The calls by which a process learns what is in the store, reads of open files aside. */
const isLook = (call: FileCall) =>
  onStore(call) && !isChange(call) && !isSynchronous(call) && !isRead(call) && call.name !== "fstat";

/** Another machine removed or replaced what this one knew. */
export const staleHandle: Fault = { ...failing("ESTALE"), concerns: isLook };

/** A name that is there is taken for absent: so it was a while ago. */
export const negativeAnswer: Fault = { ...failing("ENOENT"), name: "negative answer", concerns: isLook };

/** A directory of the store is listed by another. */
export function listedBy(name: string, by: Answer): Fault {
  return {
    name,
    effect: "nothing",
    answer: { by },
    concerns: (call) => call.name === "list" && onStore(call),
  };
}
