/** What a thread that creates files answers to a batch: what each file is, packed, or what failed. */
export type BatchAnswer =
  | { readonly versions: BigInt64Array<ArrayBuffer> }
  | { readonly failure: { readonly message: string; readonly code?: string; readonly place: string } };
