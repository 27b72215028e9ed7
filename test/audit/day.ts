// A day of traffic as the gateway records it: a tenant's work, a break-in that is tried, changes of an operator. Times are of
// yesterday in the zone of the test.
import type { AuditEvent } from '../../src/audit/event.ts';
import { openRecorder } from '../../src/store/recorder.ts';

export const WEB = '4f1c2ab09d3e'.padEnd(64, '7');
export const WEB2 = '77aa00bb11cc'.padEnd(64, '3');
const EXEC = 'e4ec00000001'.padEnd(64, '0');
export const CI_TOKEN = '0199f2c4-7d3a-7000-8000-00000000c1c1';
const ANN_TOKEN = '0199f2c4-7d3a-7000-8000-0000000000aa';

/** @param clock `14:02` or `14:02:30` */
const yesterday = (clock: string): number => {
  const now = new Date();
  const [hours = 0, minutes = 0, seconds = 0] = clock.split(':').map(Number);
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1, hours, minutes, seconds).getTime() * 1000;
};

let calls = 0;
const idOf = (at: number): string => {
  const hex = Math.floor(at / 1000)
    .toString(16)
    .padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7${String(++calls).padStart(3, '0')}-8000-${String(calls).padStart(12, '0')}`;
};

const ANN = { subject: 'ann', tokenId: ANN_TOKEN, source: '10.0.0.7', client: 'docker/27.1', policyRev: 'r1' } as const;
const CI = {
  subject: 'ci',
  tenant: 'red',
  tokenId: CI_TOKEN,
  source: '10.0.0.9',
  client: 'ci-runner/1',
  policyRev: 'r1',
} as const;

/** An allowed call: its intent and its outcome. */
const done = (clock: string, first: Partial<AuditEvent>, last: Partial<AuditEvent> = {}): AuditEvent[] => {
  const at = yesterday(clock);
  const { detail, resources, ...same } = first;
  const base = { auditId: idOf(at), action: 'unknown', decision: 'allow', class: 'write', ...same } as const;
  return [
    { ...base, at, stage: 'intent', ...(detail ? { detail } : {}), ...(resources ? { resources } : {}) } as AuditEvent,
    {
      ...base,
      at: at + 21_000,
      stage: 'complete',
      status: 200,
      outcome: 'ok',
      durationUs: 21_000,
      ...last,
    } as AuditEvent,
  ];
};

const refused = (clock: string, event: Partial<AuditEvent>): AuditEvent[] => {
  const at = yesterday(clock);
  const base = {
    at,
    stage: 'complete',
    auditId: idOf(at),
    action: 'unknown',
    decision: 'deny',
    class: 'write',
    status: 403,
  };
  return [{ ...base, outcome: 'not-sent', ...event } as AuditEvent];
};

const IMAGE = {
  kind: 'image',
  name: 'docker.io/library/nginx:1.27',
  id: `sha256:${'ab'.repeat(32)}`,
  at: 'Image',
} as const;
const create = (clock: string, by: Partial<AuditEvent>, name: string, id: string, body: object, detail: object = {}) =>
  done(
    clock,
    {
      ...by,
      action: 'container.create',
      resource: `container/${name}`,
      resources: [IMAGE],
      detail: { body, ...detail },
    },
    { status: 201, resourceId: id, resources: [{ kind: 'container', name, id, at: 'answer' }] },
  );

export const day = (): readonly AuditEvent[] => [
  ...create('09:12', { ...ANN, rule: 'team/run' }, 'web', WEB, {
    Image: 'nginx:1.27',
    HostConfig: { Binds: ['/srv/www:/usr/share/nginx/html:ro'] },
  }),
  ...done('09:13', { ...ANN, rule: 'team/run', action: 'container.start', resource: 'container/web' }, { status: 204 }),
  ...create(
    '10:00',
    { ...CI, rule: 'tenants/run' },
    'job-1',
    WEB2,
    { Image: 'nginx:1.27', Labels: { owner: 'ci' } },
    {
      changes: [
        { plugin: 'owner-label', changes: [{ op: 'add', path: '/body/Labels/owner', before: null, after: 'ci' }] },
      ],
    },
  ),
  ...refused('11:30', {
    ...CI,
    action: 'container.create',
    resource: 'container/root',
    code: 'host-field-denied',
    rule: 'tenants/run',
    detail: {
      message: 'denied by policy tenants: HostConfig.Binds[0] mounts /, which is not allowed',
      field: 'HostConfig.Binds[0]',
      body: { Image: 'alpine', HostConfig: { Binds: ['/:/host'] } },
    },
  }),
  ...refused('11:31', {
    ...CI,
    action: 'container.create',
    resource: 'container/root',
    code: 'host-field-denied',
    rule: 'tenants/run',
    detail: {
      message: 'denied by policy tenants: HostConfig.Mounts[0] mounts /etc, which is not allowed',
      field: 'HostConfig.Mounts[0]',
      body: { Image: 'alpine', HostConfig: { Mounts: [{ Type: 'bind', Source: '/etc', Target: '/x' }] } },
    },
  }),
  ...refused('11:32', {
    ...CI,
    action: 'container.create',
    resource: 'container/root',
    code: 'host-field-denied',
    rule: 'tenants/run',
    detail: {
      message: 'denied',
      field: 'HostConfig.Privileged',
      body: { Image: 'alpine', HostConfig: { Privileged: true } },
    },
  }),
  ...done(
    '14:03',
    {
      ...ANN,
      rule: 'team/exec',
      action: 'container.exec.create',
      resource: 'container/web',
      detail: { body: { Cmd: ['sh', '-c', 'cat /etc/passwd'], User: 'root' } },
    },
    { status: 201, session: EXEC, resources: [{ kind: 'exec', name: EXEC, id: EXEC, at: 'answer' }] },
  ),
  ...done(
    '14:03:10',
    { ...ANN, rule: 'team/exec', action: 'container.exec.start', resource: `exec/${EXEC}`, session: EXEC },
    {
      status: 101,
      bytesIn: 0,
      bytesOut: 1234,
      resources: [{ kind: 'container', name: WEB, id: WEB, at: 'answer' }],
      detail: {
        exec: { argv: ['sh', '-c', 'cat /etc/passwd'], user: 'root', tty: true, privileged: false, exitCode: 0 },
      },
    },
  ),
  ...done('14:04', { ...CI, rule: 'tenants/run', class: 'read', action: 'container.list', resource: 'container' }),
  ...done(
    '14:40',
    {
      ...ANN,
      rule: 'team/run',
      action: 'container.rename',
      resource: 'container/web',
      resources: [{ kind: 'container', name: 'web-old', at: 'query.name' }],
    },
    { status: 204 },
  ),
  ...done(
    '14:50',
    { ...ANN, rule: 'team/run', action: 'container.stop', resource: 'container/web-old' },
    { status: 204 },
  ),
  ...done(
    '15:00',
    {
      ...ANN,
      rule: 'team/run',
      action: 'container.remove',
      resource: `container/${WEB.slice(0, 12)}`,
      resourceId: WEB,
    },
    { status: 204 },
  ),
  ...refused('15:05', {
    ...ANN,
    decision: 'error',
    outcome: 'not-found',
    code: 'object-not-found',
    status: 404,
    action: 'container.inspect',
    class: 'read',
    resource: 'container/web',
    detail: { message: 'No such container: web' },
  }),
];

/** @param file an audit.db, made when it is not there */
export async function recordDay(file: string): Promise<void> {
  const recorder = await openRecorder(file, { thread: 'inline' });
  for (const event of day()) recorder.append(event);
  await recorder.close();
}
