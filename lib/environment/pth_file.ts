/** The `.pth` files of a site-packages directory. Pure. */

export interface PathFile {
  /** Directories to be added to sys.path, where they exist; relative ones start from the file's own. */
  readonly dirs: readonly string[];
  /** It runs code that may make packages visible in ways of its own. */
  readonly code: boolean;
}

/** Code that is known not to add packages. */
const harmlessCode: readonly RegExp[] = [
  // setuptools' stand-in for distutils, and the patch of distutils by virtualenv and uv.
  /^import os; var = 'SETUPTOOLS_USE_DISTUTILS';/,
  /^import _virtualenv$/,
  // Namespace packages of old setuptools: they lie in site-packages themselves.
  /^import sys, types, os;\s*has_mfs = /,
  // coverage measures subprocesses; numba-cuda takes the place of numba.cuda. Both are common in GPU images.
  /^import sys; exec\('import os\\n\\nif os\.getenv\("COVERAGE_PROCESS_START"\)/,
  /^import _numba_cuda_redirector$/,
];

/**
 * Each line is a directory, code that starts with `import`, a comment or blank (Python's site.py:
 * addpackage).
 */
export function parsePathFile(text: string): PathFile {
  const lines = text.split("\n").map((line) => line.trimEnd())
    .filter((line) => line !== "" && !line.startsWith("#"));
  return {
    dirs: lines.filter((line) => !isCode(line)),
    code: lines.some((line) => isCode(line) && !harmlessCode.some((known) => known.test(line))),
  };
}

function isCode(line: string): boolean {
  return /^import[ \t]/.test(line);
}
