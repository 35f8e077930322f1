/**
 * dist/b10-compile-cache.cdx.json: what the released files are made of, as CycloneDX 1.6. It comes from bun.lock alone:
 * the packages that main.ts runs with, and the runtime that is inside the binaries, each with the digest that is locked.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import * as v from "valibot";
import { projectDir } from "./project.ts";

const names = v.optional(v.record(v.string(), v.string()), {});

const lockSchema = v.object({
  packages: v.record(
    v.string(),
    v.pipe(
      v.array(v.unknown()),
      v.transform(([id, , about, integrity]) => ({ id, about, integrity })),
      v.object({
        id: v.string(),
        about: v.object({ dependencies: names }),
        integrity: v.pipe(v.string(), v.startsWith("sha512-")),
      }),
    ),
  ),
});

const packageSchema = v.object({
  name: v.string(),
  version: v.string(),
  license: v.string(),
  dependencies: names,
});

const read = (name: string) => fs.readFileSync(path.join(projectDir, name), "utf8");
// bun.lock is JSON but for commas before closing brackets.
const lock = v.parse(lockSchema, JSON.parse(read("bun.lock").replace(/,(\s*[}\]])/g, "$1")));
const own = v.parse(packageSchema, JSON.parse(read("package.json")));

/** No package needs it: it runs the program. */
const runtime = "bun";

const reached = new Map<string, readonly string[]>();
const visit = (name: string): void => {
  if (reached.has(name)) return;
  const found = lock.packages[name];
  if (!found) throw new Error(`Cannot describe ${name} as bun.lock does not have it`);
  // The runtime's own dependencies are its builds for each platform.
  const needed = name === runtime ? [] : Object.keys(found.about.dependencies);
  reached.set(name, needed);
  needed.forEach(visit);
};
const direct = [...Object.keys(own.dependencies), runtime];
direct.forEach(visit);

const purlOf = (id: string) => `pkg:npm/${id.replace(/^@/, "%40")}`;
const refOf = (name: string) => purlOf(lock.packages[name]?.id ?? name);
const self = `pkg:npm/${own.name}@${own.version}`;

const components = [...reached.keys()].sort().map((name) => {
  const { id = "", integrity = "" } = lock.packages[name] ?? {};
  const at = id.lastIndexOf("@");
  return {
    type: name === runtime ? "platform" : "library",
    "bom-ref": purlOf(id),
    name: id.slice(0, at),
    version: id.slice(at + 1),
    purl: purlOf(id),
    hashes: [{
      alg: "SHA-512",
      content: Buffer.from(integrity.slice("sha512-".length), "base64").toString("hex"),
    }],
  };
});

const bom = {
  bomFormat: "CycloneDX",
  specVersion: "1.6",
  version: 1,
  metadata: {
    component: {
      type: "application",
      "bom-ref": self,
      name: own.name,
      version: own.version,
      licenses: [{ license: { id: own.license } }],
    },
  },
  components,
  dependencies: [
    { ref: self, dependsOn: direct.map(refOf) },
    ...[...reached].map(([name, needed]) => ({ ref: refOf(name), dependsOn: needed.map(refOf) })),
  ],
};

const file = path.join(projectDir, "dist", `${own.name}.cdx.json`);
fs.mkdirSync(path.dirname(file), { recursive: true });
fs.writeFileSync(file, `${JSON.stringify(bom, undefined, 2)}\n`);
console.log(`${file}: ${components.length} components`);
