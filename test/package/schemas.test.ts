// The JSON Schemas that editors read: made from the code, they take every example and what the presets are written in, and no
// key that is misspelt. Each example's first line names its schema by a path that is true in a checkout and in the package.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, it } from 'node:test';
import { type Schema, Validator } from '@cfworker/json-schema';
import { parseAllDocuments } from 'yaml';
import { parseConfig } from '../../src/config/config.ts';
import { settingsSchema } from '../../src/config/json-schema.ts';
import { policySchema } from '../../src/policy/json-schema.ts';
import { parseDocuments } from '../../src/policy/policy.ts';
import { ROOT } from '../support/runtime.ts';

const validators: Readonly<Record<string, Validator>> = {
  'dist/schemas/settings.json': new Validator(settingsSchema() as Schema, '2020-12', false),
  'dist/schemas/policy.json': new Validator(policySchema() as Schema, '2020-12', false),
};
const documentsOf = (source: string): unknown[] => parseAllDocuments(source).map((one) => one.toJS());

const examples = globSync('examples/**/*.yaml', { cwd: ROOT });

describe('the schema of settings and policies', () => {
  assert.ok(examples.length >= 6);
  for (const file of examples)
    it(`the schema of settings and policies takes ${file}, which names it`, () => {
      const source = readFileSync(join(ROOT, file), 'utf8');
      const named = /^# yaml-language-server: \$schema=(\S+)\n/.exec(source)?.[1];
      assert.ok(named !== undefined, 'the first line names a schema');
      const validator = validators[relative(ROOT, join(ROOT, dirname(file), named))];
      assert.ok(validator !== undefined, named);
      for (const document of documentsOf(source)) {
        const { valid, errors } = validator.validate(document);
        assert.ok(valid, JSON.stringify(errors.at(-1)));
        // One unknown key, at the top and in each part below it.
        const broken = document as Record<string, unknown>;
        assert.equal(validator.validate({ ...broken, misspelt: 1 }).valid, false);
        for (const [key, value] of Object.entries(broken)) {
          const inner = Array.isArray(value) ? value[0] : value;
          if (typeof inner !== 'object' || inner === null) continue;
          const changed = { ...inner, misspelt: 1 };
          const whole = { ...broken, [key]: Array.isArray(value) ? [changed, ...value.slice(1)] : changed };
          assert.equal(validator.validate(whole).valid, false, key);
        }
      }
    });

  const policy = (rule: string) =>
    `apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: p }\nrules: [{ name: a, effect: allow, actions: [container.create], ${rule} }]\n`;
  for (const [kind, source, isGood] of [
    ['policy', policy('host: { preset: baseline, binds: [/srv, { path: /x, readOnly: true }] }'), true],
    ['policy', policy('host: { preset: baselin }'), false],
    ['policy', policy('host: { bind: [/srv] }'), false],
    ['policy', policy('hours: { days: [mon], from: "08:00", to: "18:00" }'), true],
    ['policy', policy('hours: { day: [mon], from: "08:00", to: "18:00" }'), false],
    ['policy', policy('notBefore: 2026-03-01T18:00:00Z'), true],
    ['policy', policy('quota: 3'), false],
    ['policy', policy('description:'), true],
    ['settings', 'engine: ssh://me@build\nlisten: [{ unix: ./s, mode: "0660" }]\nlimits:\n', true],
    ['settings', 'engine: ssh://me@build\nlisten: [{ unix: ./s, mod: "0660" }]\n', false],
    ['settings', 'engine: ssh://me@build\nlimits: { bodyBytes: lots }\n', false],
    ['settings', 'data: ./x\n', false],
  ] as const)
    it(`agrees with the reader about ${JSON.stringify(source.slice(kind === 'policy' ? 100 : 0))}`, () => {
      const validator = validators[`dist/schemas/${kind}.json`] as Validator;
      const problems =
        kind === 'policy'
          ? parseDocuments(source).problems
          : parseConfig(source, { baseDir: '/', exists: () => true }).problems;
      assert.equal(problems.length === 0, isGood, JSON.stringify(problems));
      assert.equal(validator.validate(documentsOf(source)[0]).valid, isGood);
    });
});
