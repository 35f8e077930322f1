/** Which of the flags in /proc/cpuinfo decide whether machine code runs. Pure data and a test. */

/**
 * x86: everything that a compiler may put into code on its own under -march=native (GCC's option list for x86
 * and its driver-i386.cc), by the kernel's names for it (arch/x86/include/asm/cpufeatures.h).
 *
 * Left out on purpose, as they differ between pods that can run each other's code: mitigations (ibrs,
 * md_clear, …), virtualisation (vmx, hypervisor, …), clocks and power (constant_tsc, arat, …), memory
 * protection (smep, pku, la57, …), tuning hints (erms, fsrm, rep_good), and instructions that
 * code contains only where its author wrote them by name, which Inductor never does (rdrand, clwb, xsaves,
 * waitpkg, rtm, …).
 */
const x86Flags: ReadonlySet<string> = new Set([
  // Scalar code: -march=x86-64 to -v3, and what came after.
  ...["cmov", "cx8", "cx16", "fxsr", "lahf_lm", "movbe", "popcnt", "abm", "bmi1", "bmi2", "adx", "tbm"],
  ...["3dnowprefetch", "cmpccxadd"],
  // Vectors up to AVX; pni is SSE3.
  ...["mmx", "mmxext", "3dnow", "3dnowext", "sse", "sse2", "pni", "ssse3", "sse4_1", "sse4_2", "sse4a"],
  ...["f16c", "fma", "fma4", "xop"],
  // Cryptography, of which the carry-less product and the Galois-field affine map serve in vector code too.
  ...["aes", "vaes", "pclmulqdq", "vpclmulqdq", "gfni", "sha_ni", "sha512", "sm3", "sm4"],
]);

/** Families with new members every few years; an unknown one must tell two CPUs apart. */
const x86Families = /^(avx|amx|apx)/;

/**
 * ARM64 names few features that are not instructions (arch/arm64/kernel/cpuinfo.c), so those few are left out
 * rather than the others listed: an unknown one costs a miss at worst.
 */
const arm64Others: ReadonlySet<string> = new Set([
  ...["cpuid", "evtstrm", "dit", "ssbs", "sb", "wfxt", "ecv", "afp", "rpres", "mte", "mte3", "paca", "pacg"],
  ...["bti", "dgh", "dcpop", "dcpodp", "uscat", "gcs", "poe", "mtefar", "mtestoreonly"],
]);

/** Whether a flag on this kind of machine ("x86_64", "aarch64") names instructions that a compiler uses. */
export function isInstructionFlag(machine: string, flag: string): boolean {
  switch (machine) {
    case "x86_64":
      return x86Flags.has(flag) || x86Families.test(flag);
    case "aarch64":
      return !arm64Others.has(flag);
    default:
      return true;
  }
}
