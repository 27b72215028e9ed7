// Traefik's docker provider, built of the version named, before an engine with a bridge: by a bound socket, a client certificate and
// Basic with a token, under its preset and so as a tenant. It must make the router of a container that runs, and of one that starts while it
// watches; a tenant's provider makes its own tenant's alone. By hand, as root with a dockerd and go at hand:
//   node test/outside/traefik.ts [v3.6.0] [v3.7.9] ...     deno run -A test/outside/traefik.ts
// Lines up to 3.6.0 ask at API 1.24.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { apiOver, must as call } from '../support/api.ts';
import { issueTo } from '../support/certificates.ts';
import { run } from '../support/gateway.ts';
import { ROOT } from '../support/runtime.ts';
import { inPlace, must, OUTSIDE } from './compared.ts';

const RUN = '12s';
const START_AFTER_MS = 5000;

function built(version: string): string {
  const program = join(OUTSIDE, `traefik-${version}-provider`);
  if (existsSync(program)) return program;
  const folder = join(OUTSIDE, `traefik-${version}`);
  mkdirSync(folder, { recursive: true });
  must('cp', [join(ROOT, 'test', 'outside', 'traefik', 'main.go'), folder]);
  writeFileSync(join(folder, 'go.mod'), 'module provider\n');
  const major = version.slice(0, 2);
  must('sed', ['-i', `s:traefik/v3/:traefik/${major}/:`, 'main.go'], { cwd: folder });
  must('go', ['get', `github.com/traefik/traefik/${major}@${version}`], { cwd: folder });
  must('go', ['build', '-mod=mod', '-o', program, '.'], { cwd: folder, env: { CGO_ENABLED: '0' } });
  return program;
}

const programs = (process.argv.length > 2 ? process.argv.slice(2) : ['v3.6.0', 'v3.7.9']).map(
  (version) => [version, built(version)] as const,
);
const callers = {
  op: { policies: ['operator'] },
  traefik: { policies: ['traefik'] },
  red: { policies: ['traefik', 'baseline'], tenant: 'red' },
};

await inPlace(callers, async ({ engine, gateway, socket }) => {
  const api = apiOver(engine.socket);
  const start = async (over: ReturnType<typeof apiOver>, name: string) => {
    await call(over, 'POST', `/containers/create?name=${name}`, {
      Image: 'busybox:test',
      Cmd: ['sleep', '900'],
      ExposedPorts: { '80/tcp': {} },
      Labels: { 'traefik.enable': 'true', [`traefik.http.routers.${name}.rule`]: `Host(\`${name}\`)` },
    });
    await call(over, 'POST', `/containers/${name}/start`);
  };
  await start(api, 'first');
  await start(apiOver(socket('red')), 'of-red');
  const token = await gateway.must('token', 'create', 'traefik');
  const { folder } = await issueTo(gateway, 'traefik');
  const https = `https://127.0.0.1:${gateway.port}`;
  const ways: Readonly<Record<string, Record<string, string>>> = {
    straight: { ENDPOINT: `unix://${engine.socket}` },
    'operator, socket': { ENDPOINT: `unix://${socket('op')}` },
    'traefik, socket': { ENDPOINT: `unix://${socket('traefik')}` },
    'traefik, certificate': { ENDPOINT: https, CERTS: folder },
    'traefik, Basic': { ENDPOINT: https, CERTS: folder, USERNAME: 'dockgate', PASSWORD: token },
    'tenant, socket': { ENDPOINT: `unix://${socket('red')}` },
  };
  for (const [version, program] of programs) {
    const runs = Object.entries(ways).map(async ([way, env]) => {
      const ran = await run(program, [], { env: { PATH: process.env.PATH, HOME: gateway.dir, RUN, ...env } });
      return [way, ran] as const;
    });
    await new Promise((resolve) => setTimeout(resolve, START_AFTER_MS));
    await start(api, 'later');
    for (const [way, { stdout, stderr }] of await Promise.all(runs)) {
      const told = stdout.trim().split('\n');
      console.log(`${version} ${way}: ${told.join(' then ')}`);
      const first = way === 'tenant, socket' ? ['of-red'] : ['first', 'of-red'];
      assert.deepEqual(JSON.parse(told[0] ?? ''), first, stderr);
      if (way === 'tenant, socket') assert.equal(told.length, 1);
      else assert.deepEqual(JSON.parse(told.at(-1) ?? ''), ['first', 'later', 'of-red'], stderr);
    }
    await call(api, 'DELETE', '/containers/later?force=1');
  }
});
