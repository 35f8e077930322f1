/** A start as Prometheus reads it: the text format 0.0.4, for node_exporter's textfile collector. Pure. */
import { savedSeconds, type StartRecord } from "./start_record.ts";

interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const verdicts = ["HIT", "PARTIAL", "INERT", "COLD"] as const;
const statuses = ["SUCCESS", "SKIPPED", "DOES_NOT_EXIST", "ERROR"] as const;

/** What is not known yet has no sample. */
export function prometheusText(record: StartRecord): string {
  return metricsOf(record).filter(({ samples }) => samples.length > 0).map(metricText).join("");
}

function metricsOf(record: StartRecord): Metric[] {
  const { load, save, proof } = record;
  return [
    gauge(
      "start_time_seconds",
      "When the server was started, in seconds since 1970.",
      record.startedMs / 1000,
    ),
    oneOf("load_status", "1 for what the load came to.", {
      label: "status",
      values: statuses,
      is: load?.status,
    }),
    gauge("load_duration_seconds", "How long the load took.", secondsOf(load?.elapsed_ms)),
    gauge("load_files", "Files that the load restored.", numberOf(load?.["files"])),
    gauge("load_bytes", "Their bytes.", numberOf(load?.["bytes"])),
    gauge("ready_seconds", "From the server's start until it was ready.", record.readyS),
    gauge(
      "cold_start_seconds",
      "The same of the start that the cache was first saved from.",
      record.coldStartS,
    ),
    gauge("saved_seconds", "How much sooner the server was ready than then.", savedSeconds(record)),
    oneOf("verdict", "1 for whether the cache helped.", {
      label: "verdict",
      values: verdicts,
      is: proof?.verdict,
    }),
    gauge("restored_files", "Compiled files that were there when the server started.", proof?.restoredFiles),
    gauge("restored_bytes", "Their bytes.", proof?.restoredBytes),
    gauge("new_files", "Compiled files that the start has made.", proof?.newFiles),
    gauge("new_bytes", "Their bytes.", proof?.newBytes),
    gauge("saves", "Saves since the start.", record.saves),
    oneOf("save_status", "1 for what the last save came to.", {
      label: "status",
      values: statuses,
      is: save?.status,
    }),
    gauge("generation", "The cache's generation, as the last load or save had it.", generationOf(record)),
  ];
}

function generationOf({ load, save }: StartRecord): number | undefined {
  return numberOf(save?.["generation"]) ?? numberOf(load?.["generation"]);
}

function gauge(name: string, help: string, value: number | null | undefined): Metric {
  return { name, help, samples: value === null || value === undefined ? [] : [{ value }] };
}

function oneOf(
  name: string,
  help: string,
  { label, values, is }: { label: string; values: readonly string[]; is: string | undefined },
): Metric {
  const samples = is === undefined
    ? []
    : values.map((value) => ({ labels: { [label]: value }, value: value === is ? 1 : 0 }));
  return { name, help, samples };
}

function metricText({ name, help, samples }: Metric): string {
  const full = `b10_compile_cache_${name}`;
  const lines = samples.map(({ labels = {}, value }) => {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${text}"`);
    return `${full}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${value}`;
  });
  return [`# HELP ${full} ${help}`, `# TYPE ${full} gauge`, ...lines, ""].join("\n");
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function secondsOf(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}
