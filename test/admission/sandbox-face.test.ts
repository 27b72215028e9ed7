// What plugins may import: the sandbox has every name the package's face has, and its own modules stay out of a plugin's pin.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { collectModules } from '../../src/admission/modules.ts';
import * as sandboxFace from '../../src/admission/sandbox-face.ts';
import * as face from '../../src/plugin.ts';

describe('dockgate/plugin in the sandbox', () => {
  it('exports every name of the package’s face', () => {
    assert.deepEqual(Object.keys(sandboxFace).sort(), Object.keys(face).sort());
  });

  it('dockgate/plugin in the sandbox is pinned with dockgate: a plugin of one file has the SHA-256 of its file', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'dg-face-'));
    try {
      const path = join(dir, 'x.ts');
      const text = `import { definePlugin, parseBind } from 'dockgate/plugin';\nexport default definePlugin({} as never) ?? parseBind;\n`;
      writeFileSync(path, text);
      assert.equal((await collectModules(path)).sha256, createHash('sha256').update(text).digest('hex'));
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
