/** What a name in a store may look like. Pure. */

/** The rule for pinned keys and namespaces: safe as a file name on every system. */
export const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
