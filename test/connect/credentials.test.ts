// Where a token comes from and when it is read again: by a clock and a command of the test's own, and real files.
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { credentialFile, expiryOf, fixedToken, tokenCommand, tokenFile } from '../../src/connect/credentials.ts';
import { GatewayError } from '../../src/errors.ts';

const dir = mkdtempSync(join(tmpdir(), 'dg-cr-'));
after(() => rmSync(dir, { recursive: true }));

const jwt = (claims: unknown): string =>
  `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${Buffer.from('s').toString('base64url')}`;
const unavailable = (pattern: RegExp) => (error: { code?: string; message: string }) => {
  assert.equal(error.code, 'credential-unavailable');
  assert.match(error.message, pattern);
  return true;
};

describe('expiryOf()', () => {
  const ROWS: readonly [name: string, token: string, expiry: number | undefined][] = [
    ['a JWT', jwt({ exp: 1_900_000_000 }), 1_900_000_000_000],
    ['a JWT without exp', jwt({ sub: 'a' }), undefined],
    ['an exp in words', jwt({ exp: 'soon' }), undefined],
    ['a payload that is null', jwt(null), undefined],
    ['an opaque token', 'dgr_abc', undefined],
    ['three parts that are no JWT', 'a.b.c', undefined],
  ];
  for (const [name, token, expiry] of ROWS) it(`of ${name}`, () => assert.equal(expiryOf(token), expiry));
});

describe('a token file', () => {
  it('a token file is read when it changes, in place or by a rename, and passed over while it is half written', async () => {
    const path = join(dir, 'token');
    writeFileSync(path, 'one\n');
    const credentials = tokenFile(path);
    assert.equal(await credentials.authorization(), 'Bearer one');
    writeFileSync(path, 'two\n');
    assert.equal(await credentials.authorization(), 'Bearer two');
    writeFileSync(path, '');
    assert.equal(await credentials.authorization(), 'Bearer two');
    writeFileSync(join(dir, 'next'), 'three\n');
    renameSync(join(dir, 'next'), path);
    assert.equal(await credentials.authorization(), 'Bearer three');
    rmSync(path);
    assert.equal(await credentials.authorization(), 'Bearer three');
    assert.equal(await credentials.renew('Bearer three'), false);
    writeFileSync(path, 'four');
    assert.equal(await credentials.renew('Bearer three'), true);
    assert.equal(await credentials.authorization(), 'Bearer four');
  });

  it('a token file that is missing, empty or no token is told', async () => {
    await assert.rejects(tokenFile(join(dir, 'none')).authorization(), unavailable(/none cannot be read \(ENOENT\)$/));
    writeFileSync(join(dir, 'empty'), ' \n');
    await assert.rejects(tokenFile(join(dir, 'empty')).authorization(), unavailable(/empty holds no token$/));
    writeFileSync(join(dir, 'two-lines'), 'a\r\nX-Evil: b');
    await assert.rejects(tokenFile(join(dir, 'two-lines')).authorization(), unavailable(/holds something that is no/));
    assert.throws(() => fixedToken('a b'), unavailable(/DOCKGATE_TOKEN holds something/));
  });
});

describe('a token command', () => {
  /** A clock in ms, and a command that prints what the test says next. */
  const set = (...outputs: (string | Error)[]) => {
    const state = { now: 1_000_000_000_000, runs: 0 };
    const credentials = tokenCommand('mint', {
      now: () => state.now,
      run: async () => {
        const output = outputs[Math.min(state.runs++, outputs.length - 1)];
        if (output instanceof Error) throw output;
        return output as string;
      },
    });
    return { state, credentials };
  };
  const until = (ms: number, name: string) => jwt({ exp: (1_000_000_000_000 + ms) / 1000, name });

  it('a token command is run once for all, and again before its token expires, while the old one serves', async () => {
    const [one, two] = [until(600_000, 'one'), until(1_200_000, 'two')];
    const { state, credentials } = set(`${one}\n`, two);
    const both = await Promise.all([credentials.authorization(), credentials.authorization()]);
    assert.deepEqual([both, state.runs], [[`Bearer ${one}`, `Bearer ${one}`], 1]);
    state.now += 539_000;
    assert.equal(await credentials.authorization(), `Bearer ${one}`);
    assert.equal(state.runs, 1);
    state.now += 2_000;
    assert.equal(await credentials.authorization(), `Bearer ${one}`);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(await credentials.authorization(), `Bearer ${two}`);
    assert.equal(state.runs, 2);
  });

  it('a token command is waited for once the old token has expired', async () => {
    const [one, two] = [until(600_000, 'one'), until(1_200_000, 'two')];
    const { state, credentials } = set(one, two);
    await credentials.authorization();
    state.now += 700_000;
    assert.equal(await credentials.authorization(), `Bearer ${two}`);
  });

  it('a token command that fails leaves the old token in force, and is not run for every request', async () => {
    const one = until(600_000, 'one');
    const { state, credentials } = set(one, new Error('vault sealed'));
    await credentials.authorization();
    state.now += 590_000;
    for (let i = 0; i < 5; i++) assert.equal(await credentials.authorization(), `Bearer ${one}`);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(await credentials.authorization(), `Bearer ${one}`);
    assert.equal(state.runs, 2);
    state.now += 1_001;
    await credentials.authorization();
    assert.equal(state.runs, 3);
  });

  it('a token command is run again for a refused token, once a second at most', async () => {
    const { state, credentials } = set('opaque-1', 'opaque-2');
    assert.equal(await credentials.authorization(), 'Bearer opaque-1');
    assert.equal(await credentials.renew('Bearer opaque-1'), false);
    state.now += 1_001;
    assert.equal(await credentials.renew('Bearer opaque-1'), true);
    assert.equal(await credentials.authorization(), 'Bearer opaque-2');
    assert.equal(await credentials.renew('Bearer opaque-1'), true);
    assert.equal(await credentials.renew('Bearer opaque-2'), false);
    assert.equal(state.runs, 2);
  });

  it('runs in the shell; its failure is told', async () => {
    assert.equal(await tokenCommand('printf "%s\\n" tok').authorization(), 'Bearer tok');
    await assert.rejects(tokenCommand('exit 3').authorization(), unavailable(/ended with exit code 3; run it by hand/));
    await assert.rejects(
      tokenCommand('true').authorization(),
      unavailable(/output of the token command holds no token/),
    );
    await assert.rejects(tokenCommand('kill -9 $$').authorization(), unavailable(/was ended by SIGKILL/));
  });
});

describe('a credential file', () => {
  const HOUR = 3_600_000;
  /** A clock in ms, and a gateway that gives numbered tokens of an hour, or fails as the test says. */
  const set = (name: string, secret = 'dockgate_one') => {
    const path = join(dir, name);
    writeFileSync(path, `${secret}\n`);
    const state = { now: 1_000_000_000_000, asked: [] as string[], fault: undefined as Error | undefined };
    const credentials = credentialFile(
      path,
      async (given) => {
        state.asked.push(given);
        if (state.fault !== undefined) throw state.fault;
        return { token: `${given.slice('dockgate_'.length)}-${state.asked.length}`, ttlMs: HOUR };
      },
      { now: () => state.now },
    );
    const settled = () => new Promise((resolve) => setImmediate(resolve));
    return { path, state, credentials, settled };
  };

  it('a credential file is exchanged once for all, and at half of the token’s life, while the old one serves', async () => {
    const { state, credentials, settled } = set('shared');
    const both = await Promise.all([credentials.authorization(), credentials.authorization()]);
    assert.deepEqual(both, ['Bearer one-1', 'Bearer one-1']);
    state.now += HOUR / 2 - 1;
    assert.equal(await credentials.authorization(), 'Bearer one-1');
    assert.equal(state.asked.length, 1);
    state.now += 1;
    assert.equal(await credentials.authorization(), 'Bearer one-1');
    await settled();
    assert.equal(await credentials.authorization(), 'Bearer one-2');
    assert.deepEqual(state.asked, ['dockgate_one', 'dockgate_one']);
  });

  it('a credential file that changes is exchanged before the next request, and passed over while it is half written', async () => {
    const { path, state, credentials } = set('changing');
    await credentials.authorization();
    writeFileSync(path, '');
    assert.equal(await credentials.authorization(), 'Bearer one-1');
    writeFileSync(path, 'dockgate_two');
    const both = await Promise.all([credentials.authorization(), credentials.authorization()]);
    assert.deepEqual(both, ['Bearer two-2', 'Bearer two-2']);
    // One the gateway refuses does not end what still works.
    state.fault = new GatewayError('credential-unavailable', 'refused', { retryAfterS: 30 });
    writeFileSync(path, 'dockgate_broken');
    assert.equal(await credentials.authorization(), 'Bearer two-2');
    assert.equal(await credentials.authorization(), 'Bearer two-2');
    assert.equal(state.asked.length, 3);
    state.fault = undefined;
    writeFileSync(path, 'dockgate_three');
    assert.equal(await credentials.authorization(), 'Bearer three-4');
  });

  it('a credential file that changes during its exchange is exchanged anew', async () => {
    const path = join(dir, 'racing');
    writeFileSync(path, 'dockgate_old');
    let release = () => {};
    const credentials = credentialFile(path, async (secret) => {
      if (secret === 'dockgate_old') await new Promise<void>((resolve) => (release = resolve));
      return { token: secret.slice('dockgate_'.length), ttlMs: HOUR };
    });
    const first = credentials.authorization();
    // Of another length: within one tick of the file system's clock nothing else tells the two apart.
    writeFileSync(path, 'dockgate_newer');
    assert.equal(await credentials.authorization(), 'Bearer newer');
    release();
    await first;
    assert.equal(await credentials.authorization(), 'Bearer newer');
  });

  it('a refused credential is not presented for every request; a gateway that is away is asked again', async () => {
    const { state, credentials } = set('refused');
    state.fault = new GatewayError('credential-unavailable', 'it was revoked', { retryAfterS: 30 });
    for (let i = 0; i < 5; i++) await assert.rejects(credentials.authorization(), unavailable(/it was revoked/));
    assert.equal(state.asked.length, 1);
    state.now += 30_001;
    state.fault = new GatewayError('gateway-unreachable', 'nothing listens');
    await assert.rejects(credentials.authorization(), { code: 'gateway-unreachable' });
    state.fault = undefined;
    state.now += 1_001;
    assert.equal(await credentials.authorization(), 'Bearer one-3');
  });

  it('a credential that cannot be exchanged just now leaves the token in force, also past its end', async () => {
    const { state, credentials, settled } = set('away');
    await credentials.authorization();
    state.fault = new GatewayError('gateway-unreachable', 'nothing listens');
    state.now += HOUR - 1_000;
    assert.equal(await credentials.authorization(), 'Bearer one-1');
    await settled();
    state.now += 5_000;
    assert.equal(await credentials.authorization(), 'Bearer one-1');
    state.fault = undefined;
    state.now += 1_001;
    assert.equal(await credentials.authorization(), 'Bearer one-4');
  });

  it('a credential file is exchanged again for a token that is refused', async () => {
    const { state, credentials } = set('revoked');
    await credentials.authorization();
    assert.equal(await credentials.renew('Bearer one-1'), false);
    state.now += 1_001;
    assert.equal(await credentials.renew('Bearer one-1'), true);
    assert.equal(await credentials.authorization(), 'Bearer one-2');
  });

  it('a credential file without a credential is told', async () => {
    await assert.rejects(
      set('jwt', jwt({ exp: 1 })).credentials.authorization(),
      unavailable(/jwt holds no credential of dockgate; for a token use --token-file$/),
    );
    await assert.rejects(
      set('other', 'ghp_x').credentials.authorization(),
      unavailable(/other holds no credential of dockgate$/),
    );
  });
});
