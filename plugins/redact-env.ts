// Takes values of environment variables out of what the engine shows of containers, images, services, tasks and engine plugins. It is
// shown no values itself: a name is enough to decide. For callers of whom policy's own `redact: [env]` is not asked, or to hide some alone.
import { type AdmissionResponse, type Change, definePlugin, isLike, type Json } from '../src/plugin.ts';

interface Settings {
  /** Names of variables with `*` whose values go. */
  readonly names: readonly string[];
  /** Names whose values stay all the same. */
  readonly keep: readonly string[];
}

const GONE = '<redacted>';
/** Deeper than any answer of the engine. */
const MAX_DEPTH = 32;

const pointer = (path: string, step: string | number): string =>
  `${path}/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`;

/** An instruction of a layer, or a command with build arguments in front of it, quotes variables wherever they stand. */
const quotesVariables = (text: string): boolean => /(^|\s)(ENV|ARG)\s|(^|\s)\|\d+(\s|$)/i.test(text);

function changesOf({ body }: AdmissionResponse, { config }: { readonly config: Settings }): readonly Change[] {
  const isHidden = (name: string): boolean =>
    config.names.some((pattern) => isLike(pattern, name)) && !config.keep.some((pattern) => isLike(pattern, name));
  const changes: Change[] = [];
  const hide = (path: string, value: string) => changes.push({ op: 'replace', path, value });

  const variable = (item: Json, path: string): void => {
    if (typeof item === 'string') {
      const equals = item.indexOf('=');
      if (equals >= 0 && isHidden(item.slice(0, equals))) hide(path, `${item.slice(0, equals)}=${GONE}`);
    } else if (isFields(item) && typeof item.Value === 'string' && isHidden(String(item.Name ?? '')))
      hide(`${path}/Value`, GONE);
  };
  const visit = (value: Json, path: string, depth: number): void => {
    if (typeof value !== 'object' || value === null) return;
    if (depth > MAX_DEPTH) throw new Error('the answer is nested too deep');
    for (const [key, inner] of Object.entries(value) as [string, Json][]) {
      const at = pointer(path, key);
      if (key === 'Env' && Array.isArray(inner))
        for (const [i, one] of inner.entries()) variable(one as Json, `${at}/${i}`);
      else if ((key === 'CreatedBy' || key === 'Comment') && typeof inner === 'string') {
        if (quotesVariables(inner)) hide(at, GONE);
      } else if ((key === 'Cmd' || key === 'Entrypoint' || key === 'OnBuild') && Array.isArray(inner)) {
        for (const [i, one] of inner.entries())
          if (typeof one === 'string' && quotesVariables(one)) hide(`${at}/${i}`, GONE);
      } else visit(inner, at, depth + 1);
    }
  };
  visit(body, '/body', 0);
  return changes;
}

const isFields = (value: Json): value is { readonly [key: string]: Json | undefined } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export default definePlugin<Settings>({
  meta: {
    name: 'redact-env',
    version: '1.0.0',
    apiVersion: 1,
    description: 'Takes values of environment variables out of what the engine shows',
  },
  needs: { responses: true },
  match: {
    actions: [
      'container.inspect',
      'container.exec.inspect',
      'image.inspect',
      'image.history',
      'service.inspect',
      'service.list',
      'task.inspect',
      'task.list',
      'plugin.inspect',
      'plugin.list',
    ],
  },
  config: {
    type: 'object',
    properties: {
      names: { type: 'array', items: { type: 'string' }, default: ['*'] },
      keep: { type: 'array', items: { type: 'string' }, default: ['PATH'] },
    },
    additionalProperties: false,
  },
  onResponse: changesOf,
  examples: [
    {
      name: 'an inspected container',
      action: 'container.inspect',
      config: {},
      response: { Id: 'a', Config: { Env: ['PATH=/bin', 'TOKEN=x', 'EMPTY'] } },
      changedResponse: { Id: 'a', Config: { Env: ['PATH=/bin', 'TOKEN=<redacted>', 'EMPTY'] } },
      expect: 'pass',
    },
    {
      name: 'some names alone',
      action: 'container.inspect',
      config: { names: ['*_TOKEN'] },
      response: { Config: { Env: ['A=1', 'CI_TOKEN=x'] } },
      changedResponse: { Config: { Env: ['A=1', 'CI_TOKEN=<redacted>'] } },
      expect: 'pass',
    },
  ],
});
