// What the audit may keep of a call, with the key of this log: everything that becomes a row goes through here once, before it is
// handed to the recorder.
import { mask, maskText } from '../engine/mask.ts';
import type { EngineCall, Json } from '../engine/types.ts';
import { redactAt, redactBody, redactQuery } from './redact.ts';

export interface KeptCall {
  readonly body: Json | undefined;
  readonly query: Readonly<Record<string, readonly string[]>>;
}

export class Masking {
  readonly #key: Uint8Array;

  /** @param key of the log, 32 bytes, not kept in it */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  call(call: Pick<EngineCall, 'action' | 'body' | 'query'>): KeptCall {
    return {
      body: call.body === undefined ? undefined : redactBody(call.action, call.body, this.#key),
      query: redactQuery(call.action, call.query, this.#key),
    };
  }

  /** A part of a body or query by its JSON pointer: `/body/Env/0`, `/query/t/0`. */
  at(action: string, pointer: string, value: Json): Json {
    return redactAt(action, pointer, value, this.#key);
  }

  /** A sentence, a name, a header's value. */
  text(text: string): string {
    return maskText(text, this.#key);
  }

  /** What a secret is stored as, wherever it stood: equal secrets are found by it. */
  hash(secret: string): string {
    return mask(secret, this.#key);
  }
}
