/** The variables that hide GPUs from a process. Pure. */

type Variables = Readonly<Record<string, string | undefined>>;

const hidingCuda = ["CUDA_VISIBLE_DEVICES"];
// HIP obeys CUDA's variable too, and torch reads all three.
const hidingRocm = ["HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"];

/** A device's number, or the start of its UUID. */
const device = /^\s*(\+?\d|GPU-|MIG-)/;

/**
 * The variable that hides every GPU: CUDA takes the list up to the first element that is no device, so "",
 * "-1" and "-1,0" leave none. (Here an empty string is a value: it is not one of this program's own
 * settings.)
 * @returns undefined where at least one GPU may be seen.
 */
export function hidesAll(kind: "cuda" | "rocm", env: Variables): string | undefined {
  const names = kind === "cuda" ? hidingCuda : hidingRocm;
  return names.find((name) => {
    const list = env[name];
    return list !== undefined && !device.test(list);
  });
}
