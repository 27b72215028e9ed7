// The law of this room, tried on arbitrary bodies: what is judged is what is sent. Seeds of failures go into SEEDS.
// DOCKGATE_FUZZ_MS (default 1500) bounds the time of each property.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toCall } from '../../src/engine/call.ts';
import { decodeBody, unknownFieldsOf } from '../../src/engine/decode.ts';
import { readJson, writeJson } from '../../src/engine/json.ts';
import { parseBind } from '../../src/engine/mounts.ts';
import { renderBody } from '../../src/engine/render-body.ts';
import { BODY_SCHEMAS } from '../../src/engine/schemas/bodies.ts';
import type { Json } from '../../src/engine/types.ts';
import { GatewayError } from '../../src/errors.ts';
import { textOf } from './body-texts.ts';
import { bytesOf, JSON_TYPE, targetOf } from './targets.ts';

const BUDGET_MS = Number(process.env.DOCKGATE_FUZZ_MS ?? 1500);
const SEEDS = [1, 20241124];
const once = (seed: number): fc.Parameters<unknown> => ({
  seed,
  numRuns: 100_000,
  interruptAfterTimeLimit: BUDGET_MS / SEEDS.length,
  markInterruptAsFailure: false,
});

const bodies = fc.constantFrom(...BODY_SCHEMAS.keys());
const cases = (clean: boolean): fc.Arbitrary<[string, string]> =>
  bodies.chain((name) => {
    const schema = BODY_SCHEMAS.get(name);
    assert.ok(schema !== undefined);
    return fc.tuple(fc.constant(name), textOf(schema, { clean }));
  });

for (const seed of SEEDS) {
  test(`a body decoded, rendered and decoded again is the judged value (seed ${seed})`, () => {
    let taken = 0;
    fc.assert(
      fc.property(cases(false), ([name, text]) => {
        const target = targetOf({ id: 'Fuzz', body: name });
        let value: Json | undefined;
        try {
          value = decodeBody(target, JSON_TYPE, bytesOf(text));
        } catch (error) {
          assert.ok(error instanceof GatewayError, String(error));
          return;
        }
        taken += 1;
        const sent = renderBody({ operation: target.operation, body: value });
        assert.ok(sent !== undefined);
        assert.deepEqual(decodeBody(target, JSON_TYPE, sent), value);
        assert.deepEqual(renderBody({ operation: target.operation, body: decodeBody(target, JSON_TYPE, sent) }), sent);
        unknownFieldsOf({ operation: target.operation, body: value });
      }),
      once(seed),
    );
    assert.ok(taken > 10, 'the generator makes bodies that are taken');
  });

  test(`bytes of any kind are read or refused, never both and never with a crash (seed ${seed})`, () => {
    const alphabet = fc.constantFrom(
      ...'{}[]:,"\\ue01-.tfn \n\0\u017f\u212a',
      'null',
      'true',
      '"HostConfig"',
      '"Binds"',
      '"\\u',
      '\ud83d',
    );
    const target = targetOf({ id: 'Fuzz', body: 'ContainerCreateRequest' });
    const inputs = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.array(alphabet, { maxLength: 30 }).map((parts) => bytesOf(parts.join(''))),
    );
    fc.assert(
      fc.property(inputs, (bytes) => {
        for (const read of [() => readJson(bytes), () => decodeBody(target, JSON_TYPE, bytes)]) {
          try {
            const value = read();
            // Whatever passes is JSON for the platform's own reader as well.
            if (value !== undefined) JSON.parse(new TextDecoder().decode(bytes));
          } catch (error) {
            assert.ok(error instanceof GatewayError, String(error));
          }
        }
      }),
      once(seed),
    );
  });

  test(`plain JSON comes back from its text (seed ${seed})`, () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const text = JSON.stringify(value);
        if (/\\u0000|\\ud[89a-f]/i.test(text)) return;
        assert.equal(
          JSON.stringify(JSON.parse(new TextDecoder().decode(writeJson(readJson(bytesOf(text)))))),
          text.replaceAll('-0', '0') === text ? text : JSON.stringify(JSON.parse(text)),
        );
      }),
      once(seed),
    );
  });

  test(`a parsed bind has a clean absolute target and says what its source is (seed ${seed})`, () => {
    const part = fc.constantFrom('/', 'a', '..', '.', ':', 'ro', 'z', ',', 'nocopy', 'shared', '\\', ' ', 'data');
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 12 }).map((parts) => parts.join('')),
        (spec) => {
          try {
            const bind = parseBind(spec);
            assert.ok(bind.target.startsWith('/') && !bind.target.includes('/../') && bind.target !== '/');
            if (bind.kind === 'bind')
              assert.ok(bind.source.startsWith('/') && !/\/(?:\.{0,2})(?:\/|$)/.test(bind.source.slice(1)));
            else assert.ok(!bind.source.includes('/'));
            assert.equal(bind.kind === 'anonymous', bind.source === '');
          } catch (error) {
            if (!(error instanceof GatewayError)) throw error;
          }
        },
      ),
      once(seed),
    );
  });
}

test('a judged call cannot be changed between decision and rendering', () => {
  fc.assert(
    fc.property(textOf(BODY_SCHEMAS.get('VolumeCreateRequest') ?? assert.fail(), { clean: true }), (text) => {
      const target = targetOf({ id: 'VolumeCreate', body: 'VolumeCreateRequest' });
      let body: Json | undefined;
      try {
        body = decodeBody(target, JSON_TYPE, bytesOf(text));
      } catch {
        return;
      }
      const call = toCall(target, body);
      assert.throws(() => {
        (call as { body: unknown }).body = null;
      }, TypeError);
      if (typeof body === 'object' && body !== null) assert.ok(Object.isFrozen(body));
    }),
    { numRuns: 50 },
  );
});
