// Sizes and spans of time as people write them in the settings.

const SIZE_UNITS: Readonly<Record<string, number>> = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 };
const SPAN_UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `100MiB` in bytes; undefined for a text that is no size. */
export const bytesOf = (text: string): number | undefined => {
  const match = /^([1-9][0-9]{0,8})(KiB|MiB|GiB|TiB)$/.exec(text);
  const bytes = match === null ? Number.NaN : Number(match[1]) * (SIZE_UNITS[match[2] ?? ''] ?? Number.NaN);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
};

/** `90d` in ms; undefined for a text that is no span. */
export const spanMsOf = (text: string): number | undefined => {
  const match = /^([1-9][0-9]{0,5})([smhd])$/.exec(text);
  return match === null ? undefined : Number(match[1]) * (SPAN_UNITS[match[2] ?? ''] ?? Number.NaN);
};
