// Shows plugins the elements of an answer and applies what they take out. Lists are shown in batches, one element after the other;
// each plugin sees what the one before it left.
import type { EngineCall, Json } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import { annotate, askHook, failed, holderOf } from './asking.ts';
import type { GuardedHost } from './hosts/guarded.ts';
import { GONE, narrowed } from './narrow.ts';
import type { Change } from './plugin.ts';
import { type AdmissionContext, headOf, masked, toJson } from './request.ts';

/** One question holds at most so many elements, of so many characters together; a larger element is asked alone. */
const BATCH_ITEMS = 64;
const BATCH_CHARS = 64 * 1024;
/** All plugins together may take this long for one whole answer, in ms. */
const ANSWER_BUDGET_MS = 5000;
/** Changed places kept for the audit of one answer. */
const MAX_KEPT = 50;

/** What plugins took out of an answer, for the audit: places and not values. */
export interface AnswerChange {
  readonly plugin: string;
  /** `remove /3/Config/Env/0`: of a list with the number of the element. */
  readonly at: readonly string[];
  /** All changes, those not kept as well. */
  readonly count: number;
}

export interface ResponseJudge {
  /**
   * Takes out of elements what plugins say, in place.
   *
   * @param shape `list`: elements may be taken out as a whole, which leaves them out; `one`: a single value, which may not
   * @returns the elements that are left
   * @throws {GatewayError} `plugin-failed`
   */
  judge(status: number, items: readonly unknown[], shape: 'list' | 'one'): Promise<readonly unknown[]>;
  readonly changes: readonly AnswerChange[];
  readonly annotations: Readonly<Record<string, string>>;
}

export class Responses implements ResponseJudge {
  readonly #plugins: readonly GuardedHost[];
  readonly #call: EngineCall;
  readonly #context: AdmissionContext;
  readonly #changes = new Map<string, { at: string[]; count: number }>();
  readonly annotations: Record<string, string> = {};
  #judged = 0;

  constructor(plugins: readonly GuardedHost[], call: EngineCall, context: AdmissionContext) {
    this.#plugins = plugins;
    this.#call = call;
    this.#context = context;
  }

  get changes(): readonly AnswerChange[] {
    return [...this.#changes].map(([plugin, kept]) => ({ plugin, ...kept }));
  }

  async judge(status: number, items: readonly unknown[], shape: 'list' | 'one'): Promise<readonly unknown[]> {
    let left = items.map((value, i) => ({ value, number: this.#judged + i }));
    this.#judged += items.length;
    const endMs = performance.now() + ANSWER_BUDGET_MS;
    for (const one of this.#plugins) {
      const bodies = one.host.description.needs.bodies === true;
      const head = toJson({ ...headOf(this.#call, this.#context, bodies), status }).slice(0, -1);
      const kept: typeof left = [];
      for (const batch of batchesOf(left, bodies)) {
        if (performance.now() > endMs)
          throw failed(one.host, `the plugins of this answer took more than ${ANSWER_BUDGET_MS} ms`);
        const input = `${head},"items":[${batch.texts.join(',')}]}`;
        const { value: answers, annotations } = await askHook(one, 'onResponse', input, holderOf(this.#context));
        annotate(this.annotations, one.host.name, annotations);
        if (!Array.isArray(answers) || answers.length !== batch.items.length)
          throw failed(one.host, 'onResponse did not return a list of changes');
        for (const [i, item] of batch.items.entries()) {
          const value = this.#apply(one, item, answers[i] as Json, shape);
          if (value !== GONE) kept.push({ ...item, value });
        }
      }
      left = kept;
    }
    return left.map(({ value }) => value);
  }

  #apply(
    { host }: GuardedHost,
    { value, number }: { value: unknown; number: number },
    changes: Json,
    shape: 'list' | 'one',
  ): unknown {
    if (!Array.isArray(changes)) throw failed(host, 'onResponse did not return a list of changes');
    if (changes.length === 0) return value;
    let result: unknown;
    try {
      result = narrowed(value, changes as unknown as readonly Change[]);
    } catch (cause) {
      throw failed(host, cause instanceof Error ? cause.message : 'its change could not be applied', cause);
    }
    if (result === GONE && shape === 'one') throw failed(host, 'it took out the whole answer');
    const kept = this.#changes.get(host.name) ?? { at: [], count: 0 };
    this.#changes.set(host.name, kept);
    kept.count += changes.length;
    for (const { op, path } of changes as unknown as readonly Change[]) {
      if (kept.at.length >= MAX_KEPT) break;
      kept.at.push(`${op} ${shape === 'list' ? `/${number}` : ''}${placeOf(op, path)}`.slice(0, 256));
    }
    return result;
  }
}

/** Where a change was made; a member that was taken out may have had a name that is no one's to read. */
function placeOf(op: Change['op'], path: string): string {
  const place = path.slice('/body'.length);
  const last = place.slice(place.lastIndexOf('/') + 1);
  return op === 'remove' && !/^(?:\d+|[A-Z][A-Za-z]{0,39})$/.test(last)
    ? `${place.slice(0, place.lastIndexOf('/') + 1)}*`
    : place;
}

interface Batch<T> {
  readonly items: readonly T[];
  readonly texts: readonly string[];
}

function* batchesOf<T extends { value: unknown }>(all: readonly T[], bodies: boolean): Generator<Batch<T>> {
  let items: T[] = [];
  let texts: string[] = [];
  let chars = 0;
  for (const one of all) {
    const text = toJson(bodies ? one.value : masked(one.value as Json));
    if (items.length > 0 && (items.length >= BATCH_ITEMS || chars + text.length > BATCH_CHARS)) {
      yield { items, texts };
      items = [];
      texts = [];
      chars = 0;
    }
    items.push(one);
    texts.push(text);
    chars += text.length;
  }
  if (items.length > 0) yield { items, texts };
}

/** The refusal in place of an answer that could not be judged. */
export function withheld(error: unknown, { action, operation }: EngineCall, status: number): GatewayError {
  const why = error instanceof Error ? error.message.replace(', so the call is denied', '') : String(error);
  const what =
    operation.class === 'read'
      ? `the answer to ${action} is not shown: ${why}`
      : `the engine has done ${action} (status ${status}), and its answer is not shown: ${why}`;
  return new GatewayError('response-withheld', what, { cause: error });
}
