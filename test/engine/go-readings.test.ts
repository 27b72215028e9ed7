// Bodies as the engine itself reads them: go-readings.jsonl holds what encoding/json of Go 1.26 makes of each text with the
// request structs of Docker 28.5.2, zero values left out. What we take must have the same meaning.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decodeBody } from '../../src/engine/decode.ts';
import type { Schema } from '../../src/engine/schema.ts';
import { BODY_SCHEMAS } from '../../src/engine/schemas/bodies.ts';
import type { Json, JsonObject } from '../../src/engine/types.ts';
import { GatewayError } from '../../src/errors.ts';
import { bytesOf, JSON_TYPE, targetOf } from './targets.ts';

interface Reading {
  readonly body: string;
  readonly text: string;
  /** The value, `refused`, or null where nothing is set. */
  readonly go: unknown;
}

const readings = readFileSync(new URL('./go-readings.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Reading);

/** Known fields without zero values, in the form of the readings. */
function meaning(schema: Schema, value: Json | undefined): unknown {
  if (value === undefined || value === null || value === '' || value === 0 || value === false) return undefined;
  if (typeof value === 'bigint' || (schema.kind === 'int' && Math.abs(Number(value)) >= 1e15)) return `${value}n`;
  // Swarm words are canonical in lower case.
  if (schema.kind === 'choice') return String(value).toLowerCase();
  if (Array.isArray(value)) {
    const of = schema.kind === 'list' ? schema.of : ({ kind: 'text' } as const);
    return value.length === 0 ? undefined : value.map((item) => meaning(of, item) ?? null);
  }
  if (typeof value !== 'object') return value;
  const members: [string, unknown][] = [];
  for (const [key, item] of Object.entries(value as JsonObject)) {
    const of = schema.kind === 'struct' ? schema.exact.get(key)?.schema : schema.kind === 'map' ? schema.of : undefined;
    const inner = of === undefined ? undefined : meaning(of, item);
    if (inner !== undefined) members.push([key, inner]);
  }
  members.sort(([a], [b]) => (a < b ? -1 : 1));
  return members.length === 0 ? undefined : Object.fromEntries(members);
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sorted(item)]),
  );
}

/** Where we refuse what Go takes: two readings, or a null that becomes an element. */
const STRICTER =
  /twice|got null|is out of range|must be one of|needs a JSON|belongs into|out of the range of|base64|digits/;

test('bodies we take mean what the engine reads, and we take none that it refuses', () => {
  let taken = 0;
  for (const { body, text, go } of readings) {
    const schema = BODY_SCHEMAS.get(body);
    assert.ok(schema !== undefined);
    let value: Json | undefined;
    try {
      value = decodeBody(targetOf({ id: 'Any', body }), JSON_TYPE, bytesOf(text));
    } catch (error) {
      assert.ok(error instanceof GatewayError, String(error));
      assert.ok(go === 'refused' || STRICTER.test(error.message), `${body} ${text}: ${error.message}`);
      continue;
    }
    taken += 1;
    const known = JSON.stringify(sorted(meaning(schema, value) ?? null));
    assert.equal(known.toLowerCase(), JSON.stringify(sorted(go)).toLowerCase(), `${body} ${text}`);
  }
  assert.ok(taken > 200, `only ${taken} of ${readings.length} were taken`);
});
