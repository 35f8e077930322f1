/**
 * count_tests.ts DIR: adds up what a row of steps did and prints "N passed, N failed" as the last line.
 * DIR/steps.tsv has a line a step: name, tab, exit status; DIR/<name>.xml is its JUnit report, if it wrote one.
 * Names each failed test again, with what it said: of a long log often only the end is kept.
 * Exits non-zero where anything failed, or no test passed at all.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { addCounts, type Counts, countTests, describeFailures, noTests } from "./junit.ts";

function countStep(dir: string, line: string): Counts {
  const [name = "", status = ""] = line.split("\t");
  const file = path.join(dir, `${name}.xml`);
  const report = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
  const counts = countTests(report);
  // A step that failed outside of any test, as one that could not even start.
  const failedAsAWhole = status !== "0" && counts.failed === 0;
  const all = failedAsAWhole ? addCounts(counts, { ...noTests, failed: 1 }) : counts;
  console.log(`${name}: ${status === "0" ? "ok" : `exit status ${status}`}, ${inWords(all)}`);
  for (const failure of describeFailures(report)) {
    console.log(`  failed: ${failure.replace(/\n(?=.)/g, "\n    ")}`);
  }
  return all;
}

function inWords({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

const dir = process.argv[2] ?? ".";
const steps = fs.readFileSync(path.join(dir, "steps.tsv"), "utf8").trim().split("\n");
const total = steps.map((line) => countStep(dir, line)).reduce(addCounts, noTests);
if (total.skipped > 0) console.log(`${total.skipped} skipped, each with its reason above`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
