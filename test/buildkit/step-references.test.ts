// Steps that refer to inputs they do not have: an engine ends over some of them, so none of these is sent to one here.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Collected } from '../../src/buildkit/collected.ts';
import { ownDefinition } from '../../src/buildkit/definition.ts';
import { Refusal } from '../../src/buildkit/grpc.ts';
import { Owner } from '../../src/buildkit/owner.ts';
import { type Message, writeMessage } from '../../src/buildkit/protobuf.ts';

const owner = new Owner(new Uint8Array(32), { issuer: 'i', subject: 's' });
const judge = (op: Message) =>
  ownDefinition({ def: [writeMessage('pb.Op', op)] }, 'Definition', owner, new Collected());

const ONE = [{ digest: `sha256:${'a'.repeat(64)}`, index: 0n }];
const TWO = [...ONE, { digest: `sha256:${'b'.repeat(64)}`, index: 1n }];
const exec = (mount: Message): Message => ({ inputs: ONE, exec: { meta: { args: ['x'] }, mounts: [mount] } });
const diff = (lower: bigint, upper: bigint): Message => ({
  inputs: ONE,
  diff: { lower: { input: lower }, upper: { input: upper } },
});
const merge = (...inputs: bigint[]): Message => ({
  inputs: TWO,
  merge: { inputs: inputs.map((input) => ({ input })) },
});
const action = (given: Message): Message => ({
  inputs: ONE,
  file: { actions: [{ input: 0n, secondaryInput: -1n, output: 0n, mkdir: { path: '/x' }, ...given }] },
});
const ownedBy = (input: bigint, who: string) =>
  action({ mkdir: { path: '/x', owner: { [who]: { byName: { name: 'a', input } } } } });

const BROKEN: Readonly<Record<string, Message>> = {
  'an index below nothing': { inputs: [{ digest: 'x', index: -1n }] },
  'a step without meta': { inputs: ONE, exec: { mounts: [] } },
  'a mount of an input behind the last': exec({ input: 1n, dest: '/' }),
  'a mount of an input before none': exec({ input: -2n, dest: '/' }),
  'a mount with an output before none': exec({ input: 0n, output: -2n, dest: '/' }),
  'a diff without its lower side': { inputs: ONE, diff: { upper: { input: 0n } } },
  'a diff without its upper side': { inputs: ONE, diff: { lower: { input: 0n } } },
  'a diff of an input behind the last': diff(0n, 1n),
  'a diff of an input before none': diff(-2n, 0n),
  'a merge of fewer inputs than its step has': merge(0n),
  'a merge of more inputs than its step has': merge(0n, 1n, 1n),
  'a merge of an input behind the last': merge(0n, 2n),
  'a merge of no input': merge(0n, -1n),
  'an action on an input behind the last': action({ input: 2n }),
  'an action from an input behind the last': action({ secondaryInput: 2n }),
  'an action on an input before none': action({ input: -2n }),
  'an action with an output of many': action({ output: 1n << 40n }),
  'an owner named in no input': ownedBy(-1n, 'user'),
  'a group named in an input behind the last': ownedBy(1n, 'group'),
};
const SOUND: Readonly<Record<string, Message>> = {
  'a mount of nothing': exec({ input: -1n, output: -1n, dest: '/' }),
  'a mount of its input': exec({ input: 0n, output: 0n, dest: '/' }),
  'a diff with nothing': diff(-1n, 0n),
  'a merge': merge(0n, 1n),
  'an action on what another made': action({ input: 1n }),
  'an owner named in its input': ownedBy(0n, 'user'),
};

describe('references of a step', () => {
  for (const [name, op] of Object.entries(BROKEN)) it(`refuses ${name}`, () => assert.throws(() => judge(op), Refusal));
  for (const [name, op] of Object.entries(SOUND)) it(`lets ${name} through`, () => void judge(op));
});
