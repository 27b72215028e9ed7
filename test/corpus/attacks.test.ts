// Requests that once got through a running gateway and did harm on a real engine: each is sent by `verify` under the policy, tenant
// and plugins it names, and proved on the engine behind. They lie beside the checkout; without them, python3 or an engine this is
// skipped. Those for Podman have tests of their own, as `verify` reads its answers otherwise.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { admin } from '../support/admin.ts';
import { apiOver } from '../support/api.ts';
import { ENGINE_LINES, LONG_LINES } from '../support/engine.ts';
import { run, startGateway, type TestGateway } from '../support/gateway.ts';
import { ROOT } from '../support/runtime.ts';

const VERIFY = join(ROOT, '../shared/corpus/verify');
const ATTACKS = join(ROOT, '../shared/corpus/attacks.jsonl');
/** The corpus listens on one fixed port and uses fixed names: one run at a time on a machine. */
const LOCK = '/tmp/dockgate-corpus.lock';
const TIMEOUT_MS = 600_000;

interface Attack {
  readonly id: string;
  readonly verdict: 'allow' | 'deny';
  readonly policy?: string;
  readonly tenant?: false;
  readonly plugins?: readonly string[];
  readonly listener?: string;
  readonly needs?: string;
}

/**
 * On machines with cgroup v1 an engine gives every container that says nothing the host's cgroup name space, whatever the API
 * version: SECURITY.md says so, as refusing it would refuse every plain `docker run` there.
 */
const STATED: ReadonlySet<string> = new Set(['r1-cgroupns-default-v1']);

/** What a case asks for beside the request that this test does not set up: each has a test of its own. */
const ELSEWHERE = (attack: Attack): boolean =>
  STATED.has(attack.id) ||
  attack.id.startsWith('r1-pod-') ||
  attack.listener !== undefined ||
  attack.needs !== undefined;

const skipWithout: false | string = !existsSync(ATTACKS)
  ? `no attacks at ${ATTACKS}`
  : ['python3', 'flock'].some((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0)
    ? 'no python3 or flock here'
    : false;

const attacks: readonly Attack[] = existsSync(ATTACKS)
  ? readFileSync(ATTACKS, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Attack)
      .filter((attack) => !ELSEWHERE(attack))
  : [];

/** `bind-mounts {roots: [...]}` as the settings say it. */
const pluginOf = (text: string) => {
  const [use = '', ...config] = text.split(' ');
  return { use, ...(config.length === 0 ? {} : { config: parse(config.join(' ')) as unknown }) };
};

for (const { line, socket, skip } of LONG_LINES) {
  describe(`attacks that got through once, on ${line}`, { skip: skip === false ? skipWithout : skip }, () => {
    const gateways = new Map<string, TestGateway>();
    const gatewayWith = async (plugins: readonly string[]): Promise<TestGateway> => {
      const key = plugins.join('\n');
      let gateway = gateways.get(key);
      if (gateway === undefined) {
        gateway = await startGateway({
          engine: socket as string,
          settings: {
            listen: ['https://127.0.0.1:0', { unix: './any.sock', mode: '0600' }],
            plugins: plugins.map(pluginOf),
          },
        });
        gateways.set(key, gateway);
        await admin(gateway, 'POST', '/identities', { name: 'bob', policies: ['baseline'], tenant: 'bob' });
      }
      return gateway;
    };
    before(() => gatewayWith([]));
    after(async () => {
      await Promise.all([...gateways.values()].map((gateway) => gateway.remove()));
      // Cases with services make a swarm of the engine, and nothing that follows wants one.
      await apiOver(socket as string)('POST', '/swarm/leave?force=1');
    });

    // A body as the current line's inspect gives it is no default of another line.
    for (const attack of line === ENGINE_LINES[0]?.line
      ? attacks
      : attacks.filter(({ verdict }) => verdict === 'deny')) {
      it(`${attack.id} is ${attack.verdict === 'allow' ? 'allowed' : 'denied or does no harm'}`, {
        timeout: TIMEOUT_MS,
      }, async (t) => {
        const gateway = await gatewayWith(attack.plugins ?? []);
        const [named = 'baseline', details] = (attack.policy ?? 'baseline').split(
          ', token with authorization_details ',
        );
        let policies = named.split(', ');
        if (/^(rules|metadata):/.test(named)) {
          policies = [attack.id];
          const document = parse(`{${named.replace(/\], rules:/, '], rules:')}}`) as { metadata?: object };
          writeFileSync(
            join(gateway.dir, 'policy.json'),
            JSON.stringify({
              apiVersion: 'dockgate/v1',
              kind: 'Policy',
              ...document,
              metadata: { ...document.metadata, name: attack.id, description: 'of an attack' },
            }),
          );
          const applied = await gateway.dockgate('policy', 'apply', '-f', join(gateway.dir, 'policy.json'));
          if (applied.code !== 0) {
            t.diagnostic(`the policy itself is refused: ${applied.stderr.trim().split('\n')[0]}`);
            assert.equal(attack.verdict, 'deny');
            return;
          }
        }
        // An identity of its own: nothing of one case is left to the next.
        const name = `alice-${attack.id}`;
        const tenant = attack.tenant === false ? {} : { tenant: attack.policy === undefined ? 'alice' : name };
        await admin(gateway, 'POST', '/identities', { name, policies, ...tenant });
        const tokenOf = async (identity: string, more: object = {}) =>
          `Authorization: Bearer ${(await admin<{ token: string }>(gateway, 'POST', '/tokens', { identity, ...more })).token}`;
        const alice = await tokenOf(
          name,
          details === undefined ? {} : { authorizationDetails: JSON.parse(details) as unknown },
        );
        const cases = join(gateway.dir, 'attacks.jsonl');
        writeFileSync(cases, readFileSync(ATTACKS, 'utf8').replaceAll('gwc.owner', 'dockgate.tenant'));
        const ran = await run(
          'flock',
          [
            ...[
              '-w',
              '300',
              LOCK,
              'python3',
              VERIFY,
              '--socket',
              socket as string,
              '--via',
              join(gateway.dir, 'any.sock'),
            ],
            ...['--header', alice, '--setup-as-header', `alice=${alice}`],
            ...['--setup-as-header', `bob=${await tokenOf('bob')}`, '--cases', cases, '--only', `^${attack.id}$`],
          ],
          { timeoutMs: TIMEOUT_MS },
        );
        assert.match(ran.stdout, /\b1 cases, 0 wrong/, `${ran.stdout.slice(-1500)}${ran.stderr.slice(-1500)}`);
      });
    }
  });
}
