/**
 * A server that behaves as vLLM does as far as a compile cache can tell: what it finds in its caches it takes, what it
 * does not find it compiles, which takes a moment; some notes it writes at each start; then it answers. Run by Bun.
 *
 * - FAKE_LABEL: what it compiles; a kernel of another label it takes as well.
 * - FAKE_COMPILE_MS: how long all of it takes to compile.
 * - FAKE_DIES_OF: a label of which it dies, with status 3, before it is ready.
 */
import * as fs from "node:fs";
import * as http from "node:http";
import * as path from "node:path";
import process from "node:process";

const { VLLM_CACHE_ROOT = "", TORCHINDUCTOR_CACHE_DIR = "", HOME = "" } = process.env;
const { FAKE_LABEL = "kernel", FAKE_COMPILE_MS = "700", FAKE_DIES_OF } = process.env;
const port = Number(process.argv[process.argv.indexOf("--port") + 1]);

process.on("SIGTERM", () => process.exit(0));

const backbone = path.join(VLLM_CACHE_ROOT, "torch_compile_cache/0123456789/rank_0_0/backbone");
const compiled = [
  path.join(backbone, "artifact_compile_range_1_8192_subgraph_0"),
  path.join(backbone, "vllm_compile_cache.py"),
  path.join(TORCHINDUCTOR_CACHE_DIR, "aa/caa.py"),
  path.join(TORCHINDUCTOR_CACHE_DIR, "fxgraph/bb/fbb/entry"),
  path.join(HOME, ".triton/cache", "KERNEL".padEnd(52, "A"), "kernel.cubin"),
];

function write(file, content) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(`${file}.${process.pid}.tmp`, content);
  fs.renameSync(`${file}.${process.pid}.tmp`, file);
}

function contentOf(file) {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

const found = compiled.map(contentOf);
if (FAKE_DIES_OF !== undefined && found.some((content) => content?.startsWith(FAKE_DIES_OF))) {
  console.error(`the server dies of a kernel of ${FAKE_DIES_OF}`);
  process.exit(3);
}
for (const [at, file] of compiled.entries()) {
  if (found[at] !== undefined) continue;
  await new Promise((resolve) => setTimeout(resolve, Number(FAKE_COMPILE_MS) / compiled.length));
  write(file, `${FAKE_LABEL} ${path.basename(file)}\n`.repeat(20));
}
write(path.join(backbone, "cache_key_factors.json"), '{"env":{"VLLM_USE_V1":1}}');
write(path.join(backbone, "computation_graph.py"), "# for debugging\n");

http.createServer((request, response) => {
  const [, command = "", name = ""] = (request.url ?? "").split("/");
  if (command === "compile") {
    write(path.join(TORCHINDUCTOR_CACHE_DIR, "later", name), `${FAKE_LABEL} ${name}\n`);
  }
  response.end("{}");
  if (command === "exit") process.exit(Number(name));
}).listen(port, "127.0.0.1");
