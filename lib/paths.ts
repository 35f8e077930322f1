/** How absolute paths lie to one another, as text: real paths, or none of this holds. Pure. */

/** `path` lies strictly below `directory`, by whole components: "/tmpfoo" is not below "/tmp". */
export function isBelow(path: string, directory: string): boolean {
  return directory === "/" ? path !== "/" : path.startsWith(`${directory}/`);
}
