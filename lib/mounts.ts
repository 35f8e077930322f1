/** The mounts of this process, by the text of /proc/self/mountinfo (see proc(5)). Pure. */

export interface Mount {
  readonly point: string;
  /** Of the file system: "ext4", "fuse.glusterfs". */
  readonly type: string;
}

/** In the order in which they were mounted. */
export function readMounts(mountinfo: string): readonly Mount[] {
  return mountinfo.split("\n").flatMap((line) => {
    const [left = "", right = ""] = line.split(" - ");
    const point = unescapeOctal(left.split(" ")[4] ?? "");
    const [type] = right.split(" ");
    return type && point !== "" ? [{ point, type }] : [];
  });
}

export function mountPoints(mountinfo: string): readonly string[] {
  return readMounts(mountinfo).map(({ point }) => point);
}

/** mountinfo writes a space as \040. */
function unescapeOctal(text: string): string {
  return text.replace(
    /\\([0-7]{3})/g,
    (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
