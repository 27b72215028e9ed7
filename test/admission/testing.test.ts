// dockgate/testing: cases of a plugin as tests of the runtime's own test runner, here run by it in a process of its own.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { after, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { run } from '../support/gateway.ts';
import { IS_DENO, ROOT } from '../support/runtime.ts';

const PLUGIN = `export default {
  meta: { name: 'owner', version: '1.0.0', apiVersion: 1, description: '' },
  match: { actions: ['container.create'] },
  examples: [{ name: 'of its own', action: 'container.create', body: { Labels: { owner: 'red' } }, expect: 'pass' }],
  validate: ({ body }) => (body.Labels?.owner ? { kind: 'pass' } : { kind: 'deny', code: 'label-missing', message: 'add --label owner=TEAM' }),
};`;

describe('dockgate/testing', () => {
  const dir = mkdtempSync(join(tmpdir(), 'dg-testing-'));
  after(() => rmSync(dir, { recursive: true, force: true }));
  writeFileSync(join(dir, 'index.js'), PLUGIN);
  writeFileSync(
    join(dir, 'cases.yaml'),
    'valid: [{ name: from the file, action: container.create, body: { Labels: { owner: x } } }]\n',
  );

  async function tested(name: string, table: string) {
    const file = join(dir, `${name}.test.ts`);
    const testing = pathToFileURL(join(ROOT, 'src/testing.ts')).href;
    writeFileSync(
      file,
      `import { pluginTests } from '${testing}';\npluginTests(new URL('./index.js', import.meta.url), ${table});\n`,
    );
    const args = IS_DENO ? ['test', '-A', '--no-check', file] : ['--test-reporter=spec', file];
    // Without what this process's own runner set, or the other would report to it.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { code, stdout, stderr } = await run(process.execPath, args, {
      env: { ...env, NO_COLOR: '1' },
      timeoutMs: 60_000,
    });
    return { code, text: stdout + stderr };
  }

  it('runs the cases given, those beside the plugin, and its own examples', async () => {
    const { code, text } = await tested(
      'good',
      `{ valid: [{ name: 'an owner', action: 'container.create', body: { Labels: { owner: 'red' } } }],
         invalid: [{ name: 'no owner', action: 'container.create', body: {}, code: 'label-missing' }] }`,
    );
    assert.equal(code, 0, text);
    for (const name of ['an owner', 'no owner', 'from the file', 'holds its own examples'])
      assert.ok(text.includes(name), `${name}: ${text}`);
  });

  it('fails a case that goes another way, and says how it went', async () => {
    const { code, text } = await tested(
      'bad',
      `{ valid: [{ name: 'no owner', action: 'container.create', body: {} }] }`,
    );
    assert.notEqual(code, 0);
    assert.match(text, /expected pass, and got a denial label-missing: add --label owner=TEAM/);
  });

  it('dockgate/testing refuses a case that is none, by its place', async () => {
    const { code, text } = await tested('none', `{ invalid: [{ name: 'no code', action: 'container.create' }] }`);
    assert.notEqual(code, 0);
    assert.match(text, /the cases given: invalid\.0\.code/);
  });
});
