// Judges the values an engine turns into others, by the table beside the schemas: the engine computes them after the check, so
// policy cannot judge the result.
import type { EvaluatedValue, ValueForm } from '../../engine/evaluated.ts';
import { EVALUATED, PODMAN_NETWORK_MODES } from '../../engine/evaluated.ts';
import type { EngineCall, Json, JsonObject } from '../../engine/types.ts';
import type { Report } from './report.ts';
import { entry, quote } from './report.ts';

/** The fault of a value, and in brackets the allowed ones; undefined when it has none. */
type Fault = (value: string, call: EngineCall) => string | undefined;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const JOINTS = /[,=:"\\\x00-\x1f\x7f]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\x00-\x08\x0a-\x1f\x7f]/;
const VOLUME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const PATHS = 'an absolute path without . and .. segments and without , = : " and \\';

const hasTemplate = (value: string): boolean => value.includes('{{');
const isPath = (value: string): boolean =>
  value.startsWith('/') && !JOINTS.test(value) && !hasTemplate(value) && !/\/\.{1,2}(?:\/|$)/.test(value);

/** One value of the swarm's own: a dotted name, or one label of the service. */
const SWARM_PLACE = /^\s*(?:\.(?:Service|Node|Task)(?:\.[A-Za-z]+){1,2}|index\s+\.Service\.Labels\s+"[^"{}\\]*")\s*$/;
/** One fact of the container: a dotted name, or one attribute. */
const TAG_PLACE = /^\s*(?:\.[A-Za-z]+|\(\.ExtraAttributes\s+nil\)\.[A-Za-z_][A-Za-z0-9_]*)\s*$/;

/** Text in which every template is one of the places; functions, loops and variables could build up any amount. */
function isSimple(value: string, place: RegExp): boolean {
  const rest = value.replaceAll(/\{\{(.*?)\}\}/gs, (whole, inner: string) => (place.test(inner) ? '' : whole));
  return !hasTemplate(rest) && !CONTROLS.test(rest);
}

const FAULTS: Readonly<Record<ValueForm, Fault>> = {
  path: (value) => (isPath(value) ? undefined : `is ${quote(value)} (allowed: ${PATHS})`),
  place: (value) =>
    isPath(value) || VOLUME.test(value)
      ? undefined
      : `is ${quote(value)} (allowed: ${PATHS}, or the name of a volume: letters, digits, _, . and -)`,
  word: (value) =>
    !JOINTS.test(value) && !hasTemplate(value)
      ? undefined
      : `is ${quote(value)} (allowed: one name, without , = : " and \\)`,
  mode: (value, { engineKind }) =>
    engineKind === 'podman' && PODMAN_NETWORK_MODES.has(value)
      ? `is ${quote(value)}, by which Podman reaches the network of the host (allowed: bridge, none, or a network of your own)`
      : !JOINTS.test(value.replace(/^container:/, '')) && !hasTemplate(value)
        ? undefined
        : `is ${quote(value)} (allowed: one network, or container:NAME)`,
  plain: (value) =>
    !CONTROLS.test(value) && !hasTemplate(value)
      ? undefined
      : `is ${quote(value)} (allowed: text of one line without templates)`,
  template: (value) =>
    !hasTemplate(value) || isSimple(value, SWARM_PLACE)
      ? undefined
      : `is ${quote(value)} (allowed: templates that name one value, such as {{.Node.Hostname}} or {{.Task.Slot}})`,
  tag: (value) =>
    isSimple(value, TAG_PLACE)
      ? undefined
      : `is ${quote(value)} (allowed: templates that name one value, such as {{.Name}} or {{.ID}})`,
  variable: (value, { engineKind }) =>
    engineKind !== 'podman' || /^[^=]+=/.test(value)
      ? undefined
      : `is ${quote(value)}, which Podman fills in from its own environment (allowed: NAME=value)`,
  group: (value) =>
    value.trim() === 'keep-groups' ? 'is "keep-groups", the groups of the engine itself (allowed: a group)' : undefined,
};

interface Row {
  readonly steps: readonly string[];
  readonly form: ValueForm;
}

const ROWS: ReadonlyMap<string, readonly Row[]> = byBody(EVALUATED);

function byBody(table: readonly EvaluatedValue[]): Map<string, Row[]> {
  const bodies = new Map<string, Row[]>();
  for (const { body, path, form } of table) {
    const steps = path.replaceAll(/(\[\]|\{\}|\{key\})/g, '.$1').split('.');
    const known = bodies.get(body);
    if (known === undefined) bodies.set(body, [{ steps, form }]);
    else known.push({ steps, form });
  }
  return bodies;
}

/** Refuses values of a call's body that an engine would turn into values policy has not judged. */
export function checkEvaluated(call: EngineCall, report: Report): void {
  const rows = ROWS.get(call.operation.body ?? '');
  if (rows === undefined || typeof call.body !== 'object' || call.body === null) return;
  for (const { steps, form } of rows) {
    visit(call.body, steps, 0, '', (value, at) => {
      if (typeof value !== 'string' || value === '') return;
      const fault = FAULTS[form](value, call);
      if (fault !== undefined) report.deny(at, value, fault);
    });
  }
}

function visit(
  value: Json | undefined,
  steps: readonly string[],
  depth: number,
  at: string,
  found: (value: Json | undefined, at: string) => void,
): void {
  if (depth === steps.length) {
    found(value, at);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  const step = steps[depth] as string;
  if (step === '[]') {
    if (!Array.isArray(value)) return;
    const items = value as readonly Json[];
    for (let i = 0; i < items.length; i += 1) visit(items[i], steps, depth + 1, `${at}[${i}]`, found);
    return;
  }
  if (Array.isArray(value)) return;
  const object = value as JsonObject;
  if (step === '{}') for (const key in object) visit(object[key], steps, depth + 1, entry(at, key), found);
  else if (step === '{key}') for (const key in object) found(key, at);
  else visit(object[step], steps, depth + 1, at === '' ? step : `${at}.${step}`, found);
}
