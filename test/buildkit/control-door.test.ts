// The door of /grpc by itself: what is sent in place of what a client asked.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ControlDoor, type Desk } from '../../src/buildkit/control-door.ts';
import { Refusal } from '../../src/buildkit/grpc.ts';
import { headersOf } from '../../src/buildkit/headers.ts';
import { Owner } from '../../src/buildkit/owner.ts';
import { type Message, messageOf, readMessage, textOf, writeMessage } from '../../src/buildkit/protobuf.ts';
import { refuseHidden } from '../../src/gateway/buildkit/stored-images.ts';

const BRIDGE = 'moby.buildkit.v1.frontend.';

/** The request the engine gets. */
async function sent(method: string, request: Message): Promise<Message> {
  const granted = {
    grant: { sources: ['*'], frontends: ['*'], network: true, secrets: [], ssh: [], contexts: [] },
    stored: undefined,
    labels: {},
    readsCaches: true,
  };
  const desk = {
    owner: new Owner(new Uint8Array(32), { issuer: 'i', subject: 's' }),
    part: async () => granted,
    enforcesSources: async () => true,
  };
  const door = new ControlDoor(desk as unknown as Desk);
  const { headers } = headersOf(['buildkit-controlapi-buildid', 'b1']);
  const plan = door.plan(`/${BRIDGE}LLBBridge/${method}`, headers);
  assert.ok(plan.kind === 'judge');
  const name = `${BRIDGE}${method}Request`;
  const judged = await plan.judge(writeMessage(name, request), new AbortController().signal);
  assert.ok(judged.kind === 'send');
  return readMessage(name, judged.message);
}

describe('an image by another spelling', () => {
  it('an image by another spelling goes to the engine in the form that was judged', async () => {
    assert.equal(
      textOf(await sent('ResolveImageConfig', { Ref: 'docker.io/victim' }), 'Ref'),
      'docker.io/library/victim:latest',
    );
    const meta = await sent('ResolveSourceMeta', {
      Source: { identifier: 'docker-image://index.docker.io/victim:latest' },
    });
    assert.equal(
      textOf(messageOf(meta, 'Source') ?? {}, 'identifier'),
      'docker-image://docker.io/library/victim:latest',
    );
  });
});

describe('refuseHidden()', () => {
  const id = `sha256:${'a'.repeat(64)}`;
  const hidden = { hidden: ['docker.io/library/victim:latest'], hiddenIds: [id], own: [], made: [] };
  const refuse = (value: string) => refuseHidden([{ at: 'x', value: `docker-image://${value}` }], hidden);
  it('refuseHidden() refuses a hidden image by name and by digest', () => {
    for (const name of ['docker.io/library/victim:latest', `docker.io/library/victim:latest@sha256:${'b'.repeat(64)}`])
      assert.throws(() => refuse(name), Refusal);
    assert.throws(() => refuse(`docker.io/library/other@${id}`), Refusal);
  });
  it('refuseHidden() lets another image through', () => {
    refuse('docker.io/library/victim:2');
    refuse(`docker.io/library/victim@sha256:${'b'.repeat(64)}`);
  });
});
