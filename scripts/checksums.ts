/** dist/SHA256SUMS, in the form that `sha256sum --check` reads. */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { distDir } from "./project.ts";

const listed = /^b10-compile-cache|^b10_transfer-.*\.whl$/;

/** Lists every binary and wheel that lies in dist/ now. */
export function writeChecksums(): void {
  const names = fs.readdirSync(distDir).filter((name) => listed.test(name)).sort();
  const lines = names.map((name) => {
    const sha256 = createHash("sha256").update(fs.readFileSync(path.join(distDir, name))).digest("hex");
    return `${sha256}  ${name}\n`;
  });
  fs.writeFileSync(path.join(distDir, "SHA256SUMS"), lines.join(""));
}
