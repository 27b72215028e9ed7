// The outcome of each call of a dry run, for people and as data: from the audit of the stage, and from the judged calls.
import type { AuditRow } from '../../audit/event.ts';
import { explain, renderExplanation } from '../../policy/explain.ts';
import type { Obligations } from '../../policy/types.ts';
import { jsonText, visible, visibleLines } from '../output.ts';
import type { Stage } from './stage.ts';

/** One call. */
export interface DryCall {
  readonly request: { readonly method: string; readonly target: string };
  readonly action: string;
  /** Of the object it is about: `container/web`. */
  readonly resource: string | null;
  /** `not-found`: the call is about an object there is not, which no rule decides. */
  readonly decision: {
    readonly effect: 'allow' | 'deny' | 'not-found';
    readonly reasons: readonly { readonly code?: string; readonly field?: string; readonly message: string }[];
    readonly rule: string | null;
    readonly obligations: Obligations;
  };
  /** Body as it would be sent, secrets masked; null for none. */
  readonly sent: unknown;
  /** What plugins changed and said. */
  readonly changes: readonly PluginChange[];
  readonly warnings: readonly string[];
  /** Status the client got. */
  readonly status: number | null;
  /** The decision path for people. */
  readonly text: string;
  /** The decision path as data. */
  readonly steps: unknown;
}

export interface PluginChange {
  readonly op: string;
  readonly path: string;
  readonly after?: unknown;
}

interface Detail {
  readonly message?: string;
  readonly field?: string;
  readonly body?: unknown;
  readonly method?: string;
  readonly path?: string;
  readonly changes?: readonly { readonly changes: readonly PluginChange[] }[];
  readonly warnings?: readonly string[];
}

const WORDS = { allow: 'ALLOW', deny: 'DENY', 'not-found': 'NOT FOUND' } as const;

/** Calls in the order they came in. */
export async function callsOf(stage: Stage): Promise<readonly DryCall[]> {
  const byId = new Map<string, AuditRow[]>();
  for (const row of await stage.rows()) {
    const known = byId.get(row.auditId);
    if (known === undefined) byId.set(row.auditId, [row]);
    else known.push(row);
  }
  return [...byId].flatMap(([auditId, rows]) => {
    const [first] = rows;
    return first === undefined ? [] : [callOf(first, rows, stage, auditId)];
  });
}

function callOf(first: AuditRow, rows: readonly AuditRow[], stage: Stage, auditId: string): DryCall {
  const judged = stage.judgementOf(auditId);
  const explanation = judged === undefined ? undefined : explain(judged.policies, judged.input);
  const detail = (first.detail ?? {}) as Detail;
  const last = rows.findLast(({ decision }) => decision !== 'allow') ?? first;
  const { message, field } = (last.detail ?? {}) as Detail;
  const decided = explanation?.decision;
  const isMissing = last.decision !== 'allow' && last.outcome === 'not-found' && decided?.effect !== 'deny';
  const isAllowed = last.decision === 'allow' && !isMissing;
  const effect = isMissing ? 'not-found' : isAllowed ? 'allow' : 'deny';
  const reason = {
    ...(last.code === undefined ? {} : { code: last.code }),
    ...(field === undefined ? {} : { field }),
    message: message ?? '',
  };
  // A plugin, a quota or a name that is taken refuses what policy allows.
  const isPolicys = decided?.effect === effect;
  return {
    request: stage.requestOf(auditId) ?? { method: detail.method ?? '', target: detail.path ?? '' },
    action: first.action,
    resource: first.resource ?? null,
    decision: {
      effect,
      reasons: isPolicys ? decided.reasons : isAllowed ? [] : [reason],
      rule: last.rule ?? null,
      obligations: decided?.obligations ?? {},
    },
    sent: isAllowed ? (detail.body ?? null) : null,
    changes: (detail.changes ?? []).flatMap(({ changes }) => changes),
    warnings: detail.warnings ?? [],
    status: rows.findLast(({ status }) => status !== undefined)?.status ?? null,
    text:
      isPolicys && explanation !== undefined ? renderExplanation(explanation) : `${WORDS[effect]}  ${reason.message}\n`,
    steps: explanation ?? null,
  };
}

/** A call as a plugin left it. */
export function renderTried({ request, action, decision, changes, warnings }: DryCall): string {
  const isDenied = decision.effect === 'deny';
  return [
    visible(`${isDenied ? 'DENIES' : 'passes'}  ${action} ${request.method} ${request.target}`),
    ...changes.map(({ op, path, after }) =>
      visible(`  ${op === 'remove' ? '-' : '+'} ${path}${after === undefined ? '' : ` ${jsonText(after)}`}`),
    ),
    ...warnings.map((warning) => visible(`  warns: ${warning}`)),
    ...(isDenied ? decision.reasons.map(({ message }) => visible(`  ${message}`)) : []),
  ].join('\n');
}

/** A call for people: the request, then either the whole way to a denial, or the rule that allows it and what is added to it. */
export function renderCall(call: DryCall, isFull: boolean): string {
  const { request, decision, action } = call;
  const head = visible(`${request.method} ${request.target}`);
  if (decision.effect !== 'allow' || isFull) return `${head}\n${visibleLines(call.text.trimEnd())}${sentOf(call)}`;
  const rule = decision.rule === null ? '' : ` by ${visible(decision.rule)}`;
  return `${head}\nALLOW  ${action}${rule}${sentOf(call)}`;
}

/** Of what the stand-in engine cannot do, in which a dry run parts from the engine. */
const NOT_DONE = 501;

function sentOf({ sent, changes, warnings, status, decision: { obligations } }: DryCall): string {
  const lines = [
    ...(status === NOT_DONE
      ? ['answer    none: the stand-in engine cannot do this, and the command may go on otherwise']
      : []),
    ...changes.map(
      ({ op, path, after }) => `plugin    ${op} ${path}${after === undefined ? '' : ` ${jsonText(after)}`}`,
    ),
    ...warnings.map((warning) => `warns     ${warning}`),
    ...Object.entries(obligations).map(([name, value]) => `adds      ${name} ${jsonText(value)}`),
    ...(sent === null ? [] : [`sends     ${jsonText(withoutEmpty(sent))}`]),
  ];
  return lines.map((line) => `\n${visible(line)}`).join('');
}

/** What clients write although it was not asked for is left out. */
function withoutEmpty(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const kept = Object.entries(value)
    .map(([key, inner]) => [key, withoutEmpty(inner)] as const)
    .filter(([, inner]) => !isEmpty(inner));
  return Object.fromEntries(kept);
}

const isEmpty = (value: unknown): boolean =>
  [null, '', 0, false].some((empty) => empty === value) ||
  (typeof value === 'object' && value !== null && Object.keys(value).length === 0);

/** What becomes of the command: it works where every call it needs is allowed. */
export function wholeOf(calls: readonly DryCall[]): string {
  const denied = calls.filter(({ decision }) => decision.effect === 'deny');
  if (denied.length === 0) return `ALLOW  all ${calls.length} calls`;
  const lines = denied.map(({ request }) => visible(`  ${request.method} ${request.target}`));
  return [`DENY  ${denied.length} of ${calls.length} calls`, ...lines].join('\n');
}
