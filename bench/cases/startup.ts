// From spawn to the first answered request, and resident memory then, of the bundle on a data folder that exists.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { ROOT } from '../../test/support/runtime.ts';
import { goal, median } from '../goals.ts';
import { freePort, residentMiB } from '../targets.ts';

const ROUNDS = 7;

export async function startup(socketPath: string): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'dg-start-'));
  const port = await freePort();
  const config = join(dir, 'dockgate.yaml');
  writeFileSync(
    config,
    stringify({
      engine: `unix://${socketPath}`,
      data: './data',
      listen: [`http://127.0.0.1:${port}`],
      plugins: [],
      log: { level: 'warn' },
    }),
  );
  const times: number[] = [];
  const memory: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    const child = spawn(
      process.execPath,
      ['--eval', `import('${ROOT}dist/cli.js').then((c) => c.main(['serve', '--config', '${config}']))`],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    while (!(await answers(port))) await new Promise((resolve) => setTimeout(resolve, 2));
    times.push(performance.now() - started);
    memory.push(residentMiB(child.pid));
    await new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.kill('SIGTERM');
    });
  }
  rmSync(dir, { recursive: true, force: true });
  console.log(
    `\nstart of the bundle to the first answer, median of ${ROUNDS}: ${median(times).toFixed(0)} ms, ${median(memory).toFixed(0)} MiB resident`,
  );
  goal('start to the first answer', 'at most', 180, median(times), ' ms');
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const request = http.get({ host: '127.0.0.1', port, path: '/healthz', agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    request.on('error', () => resolve(false));
  });
