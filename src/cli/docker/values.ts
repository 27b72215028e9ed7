// How the docker CLI writes sizes, numbers, spans of time, pairs and comma-separated fields.
import { resolve } from 'node:path';
import { DockerCommandError } from './arguments.ts';

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  p: 1024 ** 5,
};

/** `512m`, `1.5g`, `1GiB`: units of 1024, as the docker CLI reads them. */
export const parseBytes = (option: string, text: string): number => {
  const match = /^([0-9]+(?:\.[0-9]+)?) ?([bkmgtp]?)(?:i?b)?$/i.exec(text);
  if (!match) throw new DockerCommandError(`--${option} "${text}" is no size`);
  return Math.trunc(Number(match[1]) * (UNITS[(match[2] ?? '').toLowerCase()] ?? 1));
};

/** A whole number, also a negative one. */
export const wholeNumber = (option: string, text: string): number => {
  if (!/^-?[0-9]{1,15}$/.test(text)) throw new DockerCommandError(`--${option} "${text}" is no whole number`);
  return Number(text);
};

/** `k=v` pairs; a key alone has an empty value. */
export const pairs = (list: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    list.map((item) => {
      const equals = item.indexOf('=');
      return equals < 0 ? [item, ''] : [item.slice(0, equals), item.slice(equals + 1)];
    }),
  );

const NANOSECONDS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 6e10, h: 3.6e12 };
/** `1m30s` as the engine counts time. */
export const nanoseconds = (option: string, text: string): number => {
  const parts = [...text.matchAll(/([0-9.]+)(ns|us|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map((part) => part[0]).join('') !== text)
    throw new DockerCommandError(`--${option} "${text}" is no span of time`);
  return parts.reduce((sum, part) => sum + Number(part[1]) * (NANOSECONDS[part[2] ?? ''] ?? 0), 0);
};

/** A host path as the CLI sends it: one that begins with a dot is relative to the current folder. */
export const hostPath = (path: string): string => (/^\.{1,2}(\/|$)/.test(path) ? resolve(path) : path);

/** Fields of a comma-separated option; a field in double quotes may hold commas. */
export const csvFields = (text: string): string[] =>
  [...text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    (match) => match[1]?.replaceAll('""', '"') ?? match[2] ?? '',
  );
