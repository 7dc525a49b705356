/** Permissions that nothing here needs, by the names of their mutations, and who does. */
export const NOT_MET: Readonly<Record<string, string>> = {};
