/** The `.pth` files of a site-packages directory. Pure. */

/**
 * Code that is known not to add packages: setuptools' stand-in for distutils, virtualenv's and uv's patch of
 * distutils, and the namespace packages of old setuptools, which lie in site-packages themselves.
 */
const harmlessCode: readonly RegExp[] = [
  /^import os; var = 'SETUPTOOLS_USE_DISTUTILS';/,
  /^import _virtualenv$/,
  /^import sys, types, os;\s*has_mfs = /,
];

/**
 * Whether a `.pth` file can make packages visible that do not lie beside it: each of its lines is a directory for
 * sys.path, or code that starts with `import`, blank lines and comments apart (Python's site.py: addpackage).
 */
export function addsPackages(text: string): boolean {
  return text.split("\n").map((line) => line.trimEnd())
    .some((line) => line !== "" && !line.startsWith("#") && !harmlessCode.some((known) => known.test(line)));
}
