import assert from "node:assert/strict";
import { test } from "node:test";
import { detectCpu, parseCpuFlags, pickLevel } from "../../lib/environment/cpu.ts";
import type { Host } from "../../lib/system.ts";
import { startPod } from "./fake_pod.ts";

const milanWords =
  "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 ht syscall nx mmxext fxsr_opt pdpe1gb rdtscp lm constant_tsc rep_good nopl xtopology nonstop_tsc cpuid extd_apicid tsc_known_freq pni pclmulqdq ssse3 fma cx16 pcid sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave avx f16c rdrand hypervisor lahf_lm cmp_legacy cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw topoext ssbd ibrs ibpb stibp vmmcall fsgsbase tsc_adjust bmi1 avx2 smep bmi2 erms invpcid rdseed adx smap clflushopt clwb sha_ni xsaveopt xsavec xgetbv1 xsaves clzero xsaveerptr wbnoinvd arat umip pku ospke vaes vpclmulqdq rdpid fsrm";
const iceLakeWords =
  `${milanWords} avx512f avx512dq avx512cd avx512bw avx512vl avx512_vnni avx512_bitalg gfni`;
const sapphireRapidsWords = `${iceLakeWords} avx512_bf16 avx512_fp16 amx_bf16 amx_tile amx_int8`;
const graviton3Words =
  "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm jscvt fcma lrcpc dcpop sha3 sm3 sm4 asimddp sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs paca pacg dcpodp svei8mm svebf16 i8mm bf16 dgh rng";

function x86(flags: string): string {
  return `processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel name\t: AMD EPYC\nflags\t\t: ${flags}\nbugs\t\t: sysret_ss_attrs\n\nprocessor\t: 1\nflags\t\t: none\n`;
}

function arm64(features: string): string {
  return `processor\t: 0\nBogoMIPS\t: 2100.00\nFeatures\t: ${features}\nCPU implementer\t: 0x41\n`;
}

function isaOf(cpuinfo: string, env: Record<string, string> = {}, host: Partial<Host> = {}): string {
  return detectCpu(startPod({ kernel: { "/proc/cpuinfo": cpuinfo }, env, host }).system).isa;
}

test("parseCpuFlags() keeps what a compiler uses and leaves out what differs between equal pods", () => {
  const flags = parseCpuFlags(x86(milanWords), "x86_64");
  for (const kept of ["sse4_2", "avx2", "fma", "bmi2", "vaes", "sha_ni", "abm", "pni"]) {
    assert.ok(flags.includes(kept), kept);
  }
  for (
    const left of ["ibrs", "constant_tsc", "hypervisor", "smep", "erms", "pku", "rdrand", "xsaves", "fpu"]
  ) {
    assert.ok(!flags.includes(left), left);
  }
});

test("parseCpuFlags() reads ARM's, s390x's, POWER's and RISC-V's lines", () => {
  assert.deepEqual(parseCpuFlags(arm64("fp asimd evtstrm cpuid sve"), "aarch64"), ["asimd", "fp", "sve"]);
  assert.deepEqual(parseCpuFlags("vendor_id       : IBM/S390\nfeatures\t: esan3 vx vxe\n", "s390x"), [
    "esan3",
    "vx",
    "vxe",
  ]);
  assert.deepEqual(parseCpuFlags("processor\t: 0\ncpu\t\t: POWER9, altivec supported\n", "ppc64le"), [
    "POWER9,",
    "altivec",
    "supported",
  ]);
  assert.deepEqual(parseCpuFlags("hart\t\t: 0\nisa\t\t: rv64imafdcv\n", "riscv64"), ["rv64imafdcv"]);
  assert.deepEqual(parseCpuFlags("", "x86_64"), []);
});

test("detectCpu() does not mind mitigations, virtualisation, tuning hints and the flags' order", () => {
  const isa = isaOf(x86(milanWords));
  assert.match(isa, /^avx2:[0-9a-f]{12}$/);
  assert.equal(isaOf(x86(`${milanWords} md_clear vmx svm la57 retbleed`)), isa);
  assert.equal(
    isaOf(x86(milanWords.replace(" hypervisor", "").replace(" ibrs", "").replace(" erms", ""))),
    isa,
  );
  assert.equal(isaOf(x86(milanWords.split(" ").reverse().join(" "))), isa);
});

test("detectCpu() tells CPUs apart whose code does not run on one another, at the same vector level", () => {
  const distinct = [
    isaOf(x86(milanWords)),
    isaOf(x86(milanWords.replace(" vaes", ""))),
    isaOf(x86(`${milanWords} avx_vnni`)),
    isaOf(x86(`${milanWords} fma4`)),
    isaOf(x86(`${milanWords} avx10_2`)),
  ];
  assert.equal(new Set(distinct).size, distinct.length);
});

test("detectCpu() names the vector level", () => {
  assert.match(isaOf(x86(iceLakeWords)), /^avx512_vnni:/);
  assert.match(isaOf(x86(sapphireRapidsWords)), /^amx:/);
  assert.match(isaOf(arm64("fp asimd"), {}, { machine: "aarch64" }), /^neon:/);
});

test("detectCpu() tells lengths of SVE's vectors apart", () => {
  const withLength = (bytes: string) =>
    detectCpu(
      startPod({
        kernel: { "/proc/cpuinfo": arm64(graviton3Words), "/proc/sys/abi/sve_default_vector_length": bytes },
        host: { machine: "aarch64" },
      }).system,
    ).isa;
  assert.match(withLength("32\n"), /^sve256:/);
  assert.match(withLength("16\n"), /^sve128:/);
});

test("detectCpu() obeys ATEN_CPU_CAPABILITY", () => {
  const [, digest] = isaOf(x86(iceLakeWords)).split(":");
  assert.equal(isaOf(x86(iceLakeWords), { ATEN_CPU_CAPABILITY: "avx2" }), `avx2:${digest}`);
  assert.equal(isaOf(x86(iceLakeWords), { ATEN_CPU_CAPABILITY: "default" }), `default:${digest}`);
});

test("detectCpu() says so where the CPU is not known", () => {
  const cpu = detectCpu(startPod({}).system);
  assert.equal(cpu.isa, "unknown");
  assert.equal(cpu.notices.length, 1);
});

test("detectCpu() needs no flags on macOS, where Inductor sets no -march", () => {
  assert.equal(isaOf("", {}, { platform: "darwin", machine: "arm64" }), "neon");
  assert.equal(isaOf("", {}, { platform: "darwin", machine: "x86_64" }), "default");
});

const levels: readonly (readonly [words: string, capability: string | undefined, level: string])[] = [
  ["sse2", undefined, "default"],
  [milanWords, undefined, "avx2"],
  [milanWords, "avx512", "avx2"],
  [milanWords, "nonsense", "avx2"],
  [milanWords, "default", "default"],
  [iceLakeWords, undefined, "avx512_vnni"],
  [iceLakeWords, "avx512", "avx512_vnni"],
  [iceLakeWords, "avx2", "avx2"],
  [iceLakeWords.replace(" avx512_vnni", ""), undefined, "avx512"],
  [iceLakeWords.replace(" avx512vl", ""), undefined, "avx2"],
  [sapphireRapidsWords, undefined, "amx"],
  [sapphireRapidsWords, "avx512", "amx"],
  [sapphireRapidsWords, "avx2", "avx2"],
  [sapphireRapidsWords, "vsx", "amx"],
];

for (const [words, capability, level] of levels) {
  const name = words === "sse2" ? "SSE2" : `${words.split(" ").slice(-1)[0]} last`;
  test(`pickLevel() is ${level} for ${name} with ATEN_CPU_CAPABILITY ${capability ?? "unset"}`, () => {
    assert.equal(pickLevel({ machine: "x86_64", flags: words.split(" "), sveBytes: 0, capability }), level);
  });
}
