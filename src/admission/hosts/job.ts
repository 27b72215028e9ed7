// One hook under way: answered once, by its plugin, by its fault or by its time. The gateway's own timer is the authority.
import type { Json } from '../../engine/types.ts';
import { type Hook, type HookAnswer, HookFault } from './host.ts';

export class Job {
  readonly id: number;
  readonly hook: Hook;
  readonly input: string;
  /** Whose call it is. */
  readonly holder: string;
  readonly result: Promise<HookAnswer>;
  /** Started again after the thread it waited in was ended for another's fault. */
  isAgain = false;
  /** Things asked of the gateway while it ran. */
  wishes = 0;
  #settle: { resolve: (answer: HookAnswer) => void; reject: (fault: HookFault) => void } | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(id: number, hook: Hook, input: string, holder = '') {
    this.id = id;
    this.hook = hook;
    this.input = input;
    this.holder = holder;
    this.result = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  get isOver(): boolean {
    return this.#settle === undefined;
  }

  /** @param late called after the job failed for its time */
  expire(ms: number, why: string, late: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.fail(why, false);
      late();
    }, ms);
  }

  answer(value: Json | undefined, annotations: Readonly<Record<string, string>>): void {
    this.#end()?.resolve({ value, annotations });
  }

  /** The plugin threw. */
  threw(message: string): void {
    this.#end()?.reject(new HookFault(message, false, true));
  }

  /** @returns whether it was still open */
  fail(message: string, killed: boolean): boolean {
    const settle = this.#end();
    settle?.reject(new HookFault(message, killed));
    return settle !== undefined;
  }

  #end(): { resolve: (answer: HookAnswer) => void; reject: (fault: HookFault) => void } | undefined {
    clearTimeout(this.#timer);
    const settle = this.#settle;
    this.#settle = undefined;
    return settle;
  }
}

export const noAnswer = (ms: number): string => `no answer within ${ms} ms`;
