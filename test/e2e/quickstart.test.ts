// `dockgate start` in front of a real engine: what it prints works, for the docker CLI and for buildx, and is kept.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { after, describe, it } from 'node:test';
import { ENGINE, skipWithoutCli } from '../support/engine.ts';
import { docker, type Ran } from '../support/gateway.ts';
import { dockgateCommand } from '../support/runtime.ts';

describe('dockgate start', { skip: skipWithoutCli }, () => {
  const data = mkdtempSync(join(tmpdir(), 'dg-start-'));
  let child: ChildProcess;
  const start = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const [command, first] = dockgateCommand();
      child = spawn(command, [...first, 'start', '--data', data, '--listen', 'https://127.0.0.1:0'], {
        env: { ...process.env, DOCKER_HOST: `unix://${ENGINE}` },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      child.stdout?.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (said.includes('Stop with Ctrl-C')) resolve(said);
      });
      child.once('exit', (code) => reject(new Error(`it ended with ${code}: ${said}`)));
    });
  const stop = async (): Promise<void> => {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  };
  after(async () => {
    if (child.exitCode === null && child.signalCode === null) await stop();
    rmSync(data, { recursive: true, force: true });
  });
  /** Runs docker with the first `export` line that was printed. */
  const asPrinted = (said: string, ...args: string[]): Promise<Ran> => {
    const line = /^ *export (DOCKER_HOST=.*)$/m.exec(said)?.[1] ?? '';
    const env = Object.fromEntries(line.split(' ').map((pair) => pair.split('=') as [string, string]));
    return docker({ PATH: process.env.PATH, HOME: data, ...env }, args);
  };
  const certificate = () => readFileSync(join(data, 'clients', 'alice', 'cert.pem'), 'utf8');

  it('prints lines that make the docker CLI the sample caller, with a certificate for what sends no header', async () => {
    const said = await start();
    const ps = await asPrinted(said, 'ps');
    assert.deepEqual([ps.code, ps.stderr], [0, '']);
    const denied = await asPrinted(said, 'run', '--rm', '--privileged', 'busybox:test', 'true');
    assert.match(denied.stderr, /denied by policy baseline: HostConfig\.Privileged/);
    const port = /DOCKER_HOST=tcp:\/\/([^ ]+)/.exec(said)?.[1] as string;
    const folder = join(data, 'clients', 'alice');
    // Without DOCKER_CONFIG there is no header: what is left is what buildx has.
    const bare = { PATH: process.env.PATH, HOME: data, DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: folder };
    const headerless = await docker({ ...bare, DOCKER_HOST: `tcp://${port}` }, ['ps']);
    assert.deepEqual([headerless.code, headerless.stderr], [0, '']);
  });

  it('a second start finds everything as it was', async () => {
    const before = certificate();
    await stop();
    const said = await start();
    assert.equal(certificate(), before);
    assert.equal((await asPrinted(said, 'ps')).code, 0);
  });
});
