/** The differences from b10-transfer 0.4.1 that are meant, each with its reason: docs/moving-from-b10-transfer.md has them as a table. */
import type { Difference } from "./scenario.ts";

export const differences: readonly Difference[] = [
  {
    scenario: "the public names, their signatures and values",
    peer: [
      'surface: {"CacheError":"class of [\'Exception\', \'BaseException\'] {}","CacheOperationInterrupted":"class of [\'Exception\', \'BaseException\'] {}","CacheValidationError":"class of [\'CacheError\', \'Exception\', \'BaseException\'] {}","OperationStatus":"class of [\'Enum\'] {\'SUCCESS\': 1, \'ERROR\': 2, \'DOES_NOT_EXIST\': 3, \'SKIPPED\': 4}","clear_local_cache":"(args, kwargs)","get_b10_logger":"(name)","get_cache_info":"()","list_available_caches":"()","load_compile_cache":"(args, kwargs)","save_compile_cache":"(args, kwargs)","save_vllm_compile_cache":"()","transfer":"(args, kwargs)"}',
    ],
    ours: [
      'surface: {"CacheError":"class of [\'Exception\', \'BaseException\'] {}","CacheOperationInterrupted":"class of [\'Exception\', \'BaseException\'] {}","CacheValidationError":"class of [\'CacheError\', \'Exception\', \'BaseException\'] {}","OperationStatus":"class of [\'Enum\'] {\'SUCCESS\': 1, \'ERROR\': 2, \'DOES_NOT_EXIST\': 3, \'SKIPPED\': 4}","__version__":"str","clear_local_cache":"()","get_b10_logger":"(name)","get_cache_info":"()","last_result":"()","list_available_caches":"()","load_compile_cache":"()","save_compile_cache":"()","save_vllm_compile_cache":"()","transfer":"(source, dest)"}',
    ],
    why:
      "`last_result()` is new, `__version__` is in `__all__`, and signatures are what is accepted: tools can check calls",
  },
  {
    scenario: "the share is not mounted",
    peer: ["load_compile_cache: DOES_NOT_EXIST", "save_compile_cache: SUCCESS"],
    ours: ["load_compile_cache: ERROR", "save_compile_cache: ERROR"],
    why:
      "fault of the setting, not an empty store: b10-transfer fills the pod's root disk and reports SUCCESS",
  },
  {
    scenario: "load where another file lies already",
    peer: ["save_compile_cache: SUCCESS", "load_compile_cache: SKIPPED", "there: stray"],
    ours: [
      "save_compile_cache: SUCCESS",
      "load_compile_cache: SUCCESS",
      "there: aa/caa.py aa/caa.so fxgraph/aa/key/entry stray",
    ],
    why: "fault 6: any file in the directory made a load SKIP",
  },
  {
    scenario: "save after more was compiled",
    peer: ["save_compile_cache: SUCCESS", "save_compile_cache: SKIPPED"],
    ours: ["save_compile_cache: SUCCESS", "save_compile_cache: SUCCESS"],
    why: "fault 6: a saved cache was never updated",
  },
  {
    scenario: "the stored cache is damaged: load, then save",
    peer: [
      "save_compile_cache: SUCCESS",
      "load_compile_cache: ERROR",
      "save_compile_cache: SKIPPED",
      "load_compile_cache: ERROR",
    ],
    ours: [
      "save_compile_cache: SUCCESS",
      "load_compile_cache: ERROR",
      "save_compile_cache: SUCCESS",
      "load_compile_cache: SUCCESS",
    ],
    why: "fault 4: a corrupt archive stayed for ever; here the next save heals the cache",
  },
  {
    scenario: "BASETEN_FS_ENABLED is 0",
    peer: [
      "load_compile_cache: ERROR",
      "save_compile_cache: ERROR",
      'get_cache_info: {"b10fs_cache_exists":false,"b10fs_enabled":false,"environment_key":"str","local_cache_exists":true,"local_cache_size_mb":"float"}',
      'list_available_caches: {"b10fs_enabled":false,"caches":[],"current_environment":"str","error":"str"}',
    ],
    ours: [
      "load_compile_cache: ERROR",
      "save_compile_cache: ERROR",
      'get_cache_info: {"b10fs_cache_exists":false,"b10fs_enabled":false,"environment_key":"str","local_cache_exists":true,"local_cache_size_mb":"float"}',
      'list_available_caches: {"b10fs_enabled":false,"caches":[],"current_cache_exists":false,"current_environment":"str","error":"str","total_caches":"int"}',
    ],
    why: "every key is there in every answer; b10-transfer leaves out two of them",
  },
  {
    scenario: "BASETEN_FS_ENABLED is not set",
    peer: ["save_compile_cache: ERROR", "load_compile_cache: ERROR"],
    ours: ["save_compile_cache: SUCCESS", "load_compile_cache: SKIPPED"],
    why: "unset means on: the program is there because somebody installed it",
  },
  {
    scenario: 'TORCHINDUCTOR_CACHE_DIR has a name with two dots, such as "a..b"',
    peer: ["save_compile_cache: ERROR"],
    ours: ["save_compile_cache: SUCCESS"],
    why: "a name with two dots leads nowhere; only the component `..` does",
  },
  {
    scenario: "B10FS_CACHE_DIR lies below /tmp",
    peer: ["save_compile_cache: ERROR", "load_compile_cache: ERROR"],
    ours: ["save_compile_cache: SUCCESS", "load_compile_cache: SKIPPED"],
    why: "`/cache`, `/tmp`, `~/.cache` and the operator's own prefixes are allowed, not `/cache/model` alone",
  },
  {
    scenario: "LOCAL_WORK_DIR lies below /tmp",
    peer: ["save_compile_cache: ERROR", "load_compile_cache: DOES_NOT_EXIST"],
    ours: ["save_compile_cache: SUCCESS", "load_compile_cache: SKIPPED"],
    why: "b10-transfer accepts it and then cannot write its archive there; nothing is copied through it here",
  },
  {
    scenario: "LOCAL_WORK_DIR is not there",
    peer: ["save_compile_cache: ERROR", "load_compile_cache: DOES_NOT_EXIST"],
    ours: ["save_compile_cache: SUCCESS", "load_compile_cache: SKIPPED"],
    why: "a private directory beside the cache takes its place, and a log line says so",
  },
  {
    scenario: "MAX_CACHE_SIZE_MB is no number",
    peer: [
      'load_compile_cache: {"import_raised":"ValueError"}',
      'save_compile_cache: {"import_raised":"ValueError"}',
      'clear_local_cache: {"import_raised":"ValueError"}',
    ],
    ours: ["load_compile_cache: ERROR", "save_compile_cache: ERROR", "clear_local_cache: false"],
    why: "fault 8: a bad value crashed the import",
  },
  {
    scenario: "MAX_CONCURRENT_SAVES is no number",
    peer: ["save_compile_cache: ERROR", "load_compile_cache: DOES_NOT_EXIST"],
    ours: ["save_compile_cache: ERROR", "load_compile_cache: ERROR"],
    why: "a bad value is an error of every operation, not of those alone that happen to read it",
  },
  {
    scenario: "CLEANUP_LOCK_TIMEOUT_SECONDS is no number",
    peer: ["save_compile_cache: SUCCESS", "load_compile_cache: SKIPPED"],
    ours: ["save_compile_cache: ERROR", "load_compile_cache: ERROR"],
    why: "a bad value is an error, not silently ignored",
  },
  {
    scenario: "CLEANUP_INCOMPLETE_TIMEOUT_SECONDS is no number",
    peer: ["save_compile_cache: SUCCESS", "load_compile_cache: SKIPPED"],
    ours: ["save_compile_cache: ERROR", "load_compile_cache: ERROR"],
    why: "a bad value is an error, not silently ignored",
  },
  {
    scenario: "MIN_B10FS_SPACE_MB is no number",
    peer: ["save_compile_cache: ERROR", "load_compile_cache: DOES_NOT_EXIST"],
    ours: ["save_compile_cache: ERROR", "load_compile_cache: ERROR"],
    why: "a bad value is an error of every operation, not of those alone that happen to read it",
  },
  {
    scenario: "MAX_CONCURRENT_SAVES is above its cap",
    peer: ["save_compile_cache: ERROR", "load_compile_cache: DOES_NOT_EXIST"],
    ours: ["save_compile_cache: SUCCESS", "load_compile_cache: SKIPPED"],
    why: "fault 8: a save demanded the free space of 100 others",
  },
  {
    scenario: "no setting for free space: the defaults",
    peer: ["save_compile_cache: ERROR"],
    ours: ["save_compile_cache: SUCCESS"],
    why: "fault 8: a default save demanded 100 GB free; here what it needs",
  },
  {
    scenario: "clear a cache",
    peer: ["clear_local_cache: true", "there: absent"],
    ours: ["clear_local_cache: true", "there: empty"],
    why:
      "the directory is emptied and stays: it may be a mount point, or another process's current directory",
  },
  {
    scenario: "information on an empty store",
    peer: [
      'get_cache_info: {"b10fs_cache_exists":false,"b10fs_enabled":true,"environment_key":"str","local_cache_exists":false}',
      'list_available_caches: {"b10fs_enabled":true,"caches":[],"current_environment":"str"}',
    ],
    ours: [
      'get_cache_info: {"b10fs_cache_exists":false,"b10fs_enabled":true,"environment_key":"str","local_cache_exists":false}',
      'list_available_caches: {"b10fs_enabled":true,"caches":[],"current_cache_exists":false,"current_environment":"str","total_caches":"int"}',
    ],
    why: "every key is there in every answer; b10-transfer leaves out two of them",
  },
  {
    scenario: "information with a bad path",
    peer: ['get_cache_info: {"raised":"OSError"}', 'list_available_caches: {"raised":"OSError"}'],
    ours: [
      'get_cache_info: {"b10fs_cache_exists":false,"b10fs_enabled":true,"environment_key":"str","local_cache_exists":false}',
      'list_available_caches: {"b10fs_enabled":true,"caches":[],"current_cache_exists":false,"current_environment":"str","error":"str","total_caches":"int"}',
    ],
    why: "its docstring promises not to raise; here it does not, and `error` says what is wrong",
  },
];
