/** Who may import whom: the layers of lib/, and what the pure modules may reach. */

/**
 * One row a layer, lowest first. A module may import its own row and the rows above it in this table, types
 * included. `x/*` stands for everything below lib/x/. main.ts and lib/commands/ may import everything.
 */
export const layers: readonly (readonly string[])[] = [
  [
    "errors",
    "canonical_json",
    "text",
    "names",
    "entry_path",
    "entry_rules",
    "issue",
    "json_density",
    "memory",
    "version",
    "local_error",
    "secrets",
    "socket_url",
    "paths",
    "mounts",
    "store_access",
  ],
  ["system", "system/*"],
  ["remove_tree", "cleanup", "replace_file"],
  ["config", "config/*", "ages"],
  ["log", "progress", "progress_bar"],
  ["pod_defaults", "confine", "local_space"],
  ["environment", "environment/*", "key"],
  ["roots", "root_places", "relocation", "file_system_types", "pod_state", "signatures", "clear_guard"],
  ["manifest", "operation", "moving_house"],
  ["store", "store/*", "marks", "suspects"],
  ["lock", "turn"],
  ["history", "rollback"],
  ["archive", "archive/*"],
  ["foreign/*", "bundle"],
  ["layers", "verify_layer", "read_back"],
  ["tree", "stable_read", "missing_files", "snapshot", "quiet", "proof"],
  ["base", "commit", "comparison"],
  [
    "pod",
    "pod_roots",
    "fence",
    "key_files",
    "pod_store",
    "store_writers",
    "state_dir",
    "staging",
    "pack_tree",
    "local_file",
  ],
  ["compaction"],
  [
    "load",
    "load_foreign",
    "load_any",
    "save",
    "export",
    "import",
    "verify",
    "prune_policy",
    "prune/*",
    "prune",
  ],
  ["server", "server_address", "shell_words"],
  ["start"],
  ["status", "completions", "explain", "vllm_factors"],
  ["start_record", "metrics"],
  ["cli", "commands/*"],
];

/** Modules that only the named ones may import, besides each other. */
export const reserved: readonly { readonly modules: string; readonly importers: readonly string[] }[] = [
  // What differs between runtimes stays behind lib/system.ts: the composition root alone picks the real one.
  { modules: "system/*", importers: ["main"] },
  { modules: "commands/*", importers: ["cli"] },
  { modules: "cli", importers: ["main", "commands/*"] },
  // A command that opened a store by itself would neither sign nor demand a signature.
  { modules: "store/directory", importers: ["pod_store"] },
];

/** Modules without effects: they may import each other, the names of `pureExternals`, and any type. */
export const pureModules: readonly string[] = [
  "errors",
  "canonical_json",
  "text",
  "names",
  "entry_path",
  "entry_rules",
  "issue",
  "local_error",
  "secrets",
  "socket_url",
  "server_address",
  "shell_words",
  "config",
  "config/*",
  "key",
  "roots",
  "root_places",
  "relocation",
  "ages",
  "file_system_types",
  "paths",
  "mounts",
  "store_access",
  "clear_guard",
  "prune_policy",
  "signatures",
  "manifest",
  "status",
  "completions",
  "start_record",
  "metrics",
  "explain",
  "foreign/archive_name",
  "foreign/key",
  "foreign/policy",
  "foreign/refusal",
  "foreign/tar_header",
  "foreign/pax",
  "archive/plan",
  "archive/index",
  "json_density",
  "store/layout",
];

/** Computation alone; node:crypto is here for its hashes. */
export const pureExternals: readonly string[] = ["node:path", "node:path/posix", "node:crypto", "valibot"];

/** The `node:` modules for the rest of lib/. Those that touch files, processes or the network: lib/system/ alone. */
export const builtinsWithoutEffects: readonly string[] = [
  "node:path",
  "node:path/posix",
  "node:crypto",
  "node:buffer",
  "node:util",
  "node:zlib",
];
