/** How much was tried, for whoever reads the output of the tests. */
import type { TestContext } from "node:test";

/** As a line on stdout; and as a step of the test, as `deno test --quiet` keeps back what tests print. */
export async function tell(context: TestContext, text: string): Promise<void> {
  console.log(text);
  await context.test(text, () => {});
}
