/** What a file's path may look like, in a store as on a pod. Pure. */

// Linux: NAME_MAX and PATH_MAX. The rest of PATH_MAX is left to the directory a path is restored below.
const maxComponentBytes = 255;
const maxPathBytes = 3072;
const maxDepth = 128;

/** Names of at most 255 characters that one look is enough for: most paths have no others. */
const plainPath = /^\w[\w.+=@,-]{0,254}(?:\/\w[\w.+=@,-]{0,254}){0,127}$/;

/**
 * Why `path` cannot be a file's path in a cache, in words that follow "it must"; undefined if it can.
 * A path is relative, has plain components, and means the same on every system.
 */
export function entryPathProblem(path: string): string | undefined {
  if (path.length <= maxPathBytes && plainPath.test(path)) return undefined;
  if (path === "") return "not be empty";
  if (path.startsWith("/")) return "be relative";
  if (path.includes("\0")) return "not contain a NUL byte";
  if (path.includes("\\")) return "not contain a backslash";
  if (/^[A-Za-z]:/.test(path)) return "not begin with a drive letter";
  if (!path.isWellFormed() || path.includes("\ufffd")) return "be valid UTF-8";
  if (isLonger(path, maxPathBytes)) return `be at most ${maxPathBytes} bytes long`;
  const components = path.split("/");
  if (components.length > maxDepth) return `be at most ${maxDepth} levels deep`;
  for (const component of components) {
    if (component === "" || component === "." || component === "..") {
      return 'not contain an empty, "." or ".." component';
    }
    if (isLonger(component, maxComponentBytes)) return `have names of at most ${maxComponentBytes} bytes`;
  }
  return undefined;
}

/** The directory that a path lies in; "" for one that lies in none. */
export function directoryOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf("/"), 0));
}

const encoder = new TextEncoder();

function isLonger(text: string, maxBytes: number): boolean {
  // No UTF-16 unit becomes more than three bytes: most texts need not be encoded to know.
  return text.length * 3 > maxBytes && encoder.encode(text).length > maxBytes;
}
