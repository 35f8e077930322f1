/** The import graph of this project, as `deno info --json` describes it. */
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import * as v from "valibot";

export interface Import {
  /** A module of this project by its path ("lib/store"), or the name of a package or built-in ("node:fs"). */
  readonly target: string;
  /** Erased before the program runs: `import type`. */
  readonly typeOnly: boolean;
}

export interface Module {
  /** Path from the project's root, without ".ts". */
  readonly name: string;
  readonly imports: readonly Import[];
}

const resolution = v.object({ specifier: v.optional(v.string()), error: v.optional(v.string()) });

const infoSchema = v.object({
  modules: v.array(v.object({
    specifier: v.string(),
    error: v.optional(v.string()),
    dependencies: v.optional(
      v.array(v.object({
        specifier: v.string(),
        code: v.optional(resolution),
        type: v.optional(resolution),
      })),
      [],
    ),
  })),
});

/**
 * @param info what `deno info --json` printed
 * @param root the project's directory: modules outside it are left out
 * @throws {Error} where a module could not be found or read
 */
export function parseGraph(info: string, root: string): Module[] {
  const { modules } = v.parse(infoSchema, JSON.parse(info));
  const own = modules.filter(({ specifier }) =>
    specifier.startsWith("file:") && isOwn(moduleName(specifier, root))
  );
  return own.map(({ specifier, error, dependencies }) => {
    if (error !== undefined) throw new Error(`Cannot read the imports of ${specifier} as ${error}`);
    return {
      name: moduleName(specifier, root),
      imports: dependencies.map(({ specifier: written, code, type }) => ({
        target: written.startsWith(".") ? moduleName((code ?? type)?.specifier ?? written, root) : written,
        typeOnly: code === undefined,
      })),
    };
  });
}

function moduleName(specifier: string, root: string): string {
  return relative(root, fileURLToPath(specifier)).replace(/\.ts$/, "");
}

function isOwn(name: string): boolean {
  return !name.startsWith("..") && !name.startsWith("node_modules/");
}
