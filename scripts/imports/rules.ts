/** The rules that the import graph is held to. Pure. */
import type { Import, Module } from "./graph.ts";
import { builtinsWithoutEffects, layers, pureExternals, pureModules, reserved } from "./table.ts";

/** Everything that breaks a rule, one line each; empty where all is well. */
export function findProblems(modules: readonly Module[]): string[] {
  const inLib = modules.filter(({ name }) => name.startsWith("lib/"));
  const rules = [breaksLayers, breaksReservation, breaksPurity, breaksConfinementOfEffects];
  return [
    ...findCycles(modules).map((cycle) => `cycle: ${cycle.join(" -> ")}`),
    ...inLib.filter(({ name }) => layerOf(short(name)) === undefined).map(({ name }) =>
      `${name}: has no place in the table of layers (scripts/imports/table.ts)`
    ),
    ...inLib.flatMap((module) =>
      rules.flatMap((rule) => module.imports.map((imported) => rule(short(module.name), imported)))
    ).filter((problem) => problem !== undefined),
  ];
}

/** One cycle for each import that closes one. Types are erased before the program runs and make no cycle. */
export function findCycles(modules: readonly Module[]): string[][] {
  const byName = new Map(modules.map((module) => [module.name, module]));
  const done = new Set<string>();
  const cycles: string[][] = [];
  const visit = (name: string, path: readonly string[]): void => {
    const start = path.indexOf(name);
    if (start >= 0) cycles.push([...path.slice(start), name]);
    if (start >= 0 || done.has(name)) return;
    for (const { target, typeOnly } of byName.get(name)?.imports ?? []) {
      if (!typeOnly) visit(target, [...path, name]);
    }
    done.add(name);
  };
  for (const { name } of modules) visit(name, []);
  return cycles;
}

function breaksLayers(from: string, { target }: Import): string | undefined {
  if (matches(from, "commands/*") || isExternal(target)) return undefined;
  if (!target.startsWith("lib/")) return `lib/${from}: imports ${target}, which is not part of lib/`;
  const own = layerOf(from);
  const other = layerOf(short(target));
  if (own === undefined || other === undefined || other <= own) return undefined;
  return `lib/${from}: imports ${target}, which stands later in the flow`;
}

function breaksReservation(from: string, { target }: Import): string | undefined {
  const row = reserved.find(({ modules }) => matches(short(target), modules));
  if (!row || [row.modules, ...row.importers].some((pattern) => matches(from, pattern))) return undefined;
  return `lib/${from}: imports ${target}, which is for ${row.importers.join(", ")} alone`;
}

function breaksPurity(from: string, { target, typeOnly }: Import): string | undefined {
  if (typeOnly || !isPure(from)) return undefined;
  if (isExternal(target) ? pureExternals.includes(target) : isPure(short(target))) return undefined;
  return `lib/${from}: is pure, but imports ${target}, which is not`;
}

function breaksConfinementOfEffects(from: string, { target }: Import): string | undefined {
  if (!target.startsWith("node:") || builtinsWithoutEffects.includes(target)) return undefined;
  if (matches(from, "system") || matches(from, "system/*")) return undefined;
  return `lib/${from}: imports ${target}, whose effects belong in lib/system/`;
}

function layerOf(name: string): number | undefined {
  const index = layers.findIndex((row) => row.some((pattern) => matches(name, pattern)));
  return index < 0 ? undefined : index;
}

function isPure(name: string): boolean {
  return pureModules.some((pattern) => matches(name, pattern));
}

function isExternal(target: string): boolean {
  return !/^(lib|scripts|tests|bench)\/|^main$/.test(target);
}

function matches(name: string, pattern: string): boolean {
  return pattern.endsWith("/*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

function short(name: string): string {
  return name.replace(/^lib\//, "");
}
