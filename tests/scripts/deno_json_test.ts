import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { denoPermissionFlags } from "../../lib/system/permissions.ts";
import { projectDir } from "../../scripts/project.ts";

test("the task run has exactly the permissions that the program is compiled with", () => {
  const config = JSON.parse(fs.readFileSync(path.join(projectDir, "deno.json"), "utf8"));
  const words: string[] = config.tasks.run.command.split(" ");
  const granted = words.filter((word) => word.startsWith("--allow") || word === "--no-prompt");
  assert.deepEqual(granted.sort(), [...denoPermissionFlags].sort());
});
