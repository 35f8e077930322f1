/** What a thread that creates files answers to a batch. */

/** Of each file: inode, size, modification and change time (ns). */
export const numbersOfVersion = 4;

export type BatchAnswer =
  | { readonly versions: BigInt64Array<ArrayBuffer> }
  | { readonly failure: { readonly message: string; readonly code?: string; readonly place: string } };
