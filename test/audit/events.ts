// Audit events for tests, and folders that go away again.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuditEvent } from '../../src/audit/event.ts';

let next = 0;

export const eventOf = (more: Partial<AuditEvent> = {}): AuditEvent => ({
  at: 1_893_456_000_000_000 + next++,
  stage: 'intent',
  auditId: `0199f2c4-5d1e-7000-8000-${String(next).padStart(12, '0')}`,
  action: 'container.create',
  decision: 'allow',
  ...more,
});

/** One with every field set. */
export const fullEvent = (more: Partial<AuditEvent> = {}): Required<AuditEvent> =>
  ({
    ...eventOf(),
    subject: 'ci',
    issuer: 'https://gate.example',
    tenant: 'red',
    tokenId: '0199f2c4-0000-7000-8000-000000000001',
    source: '127.0.0.1',
    client: 'Docker-Client/28.5.2 (linux)',
    operationId: 'ContainerCreate',
    class: 'write',
    apiVersion: '1.51',
    resource: 'container/web',
    resourceId: 'c0ffee',
    code: 'operation-not-allowed',
    rule: 'ci/run',
    policyRev: '7',
    status: 201,
    durationUs: 1234,
    bytesIn: 3_000_000_000,
    bytesOut: 0,
    actor: 'exchange',
    pluginGeneration: 3,
    engine: 'ENGINE:ID',
    gateway: 'gate-1',
    bodySha256: 'ab'.repeat(32),
    sentSha256: 'cd'.repeat(32),
    outcome: 'ok',
    session: '0199f2c4-0000-7000-8000-000000000002',
    resources: [{ kind: 'image', name: 'docker.io/library/alpine:latest', id: 'sha256:f00d', at: 'Image' }],
    detail: { body: { Image: 'alpine', Cmd: ['true'] }, message: 'x' },
    ...more,
  }) as Required<AuditEvent>;

export const inFolder = (body: (file: string, folder: string) => Promise<void> | void) => async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-audit-'));
  try {
    await body(join(folder, 'audit.db'), folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
