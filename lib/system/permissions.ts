/**
 * The permission flags that the program is started with under Deno, and that deno.json repeats (a test compares
 * them). Read and write are scoped to "/", as only a scoped grant can be narrowed later; `--allow-run` is
 * unscoped, as Deno refuses a scoped one where LD_LIBRARY_PATH is set, which CUDA images do.
 */
export const denoPermissionFlags = [
  "--no-prompt",
  "--allow-read=/",
  "--allow-write=/",
  "--allow-env",
  "--allow-sys",
  "--allow-run",
  "--allow-net",
] as const;
