import { errnoOf, messageOf } from "../../../lib/errors.ts";

/** "done", or the errno of the failure, or its message where it has none. */
export async function outcomeOf(action: () => unknown): Promise<string> {
  try {
    await action();
    return "done";
  } catch (error) {
    return errnoOf(error) ?? messageOf(error);
  }
}
