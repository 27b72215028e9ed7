// Numbers by which a step refers to its inputs. An engine follows some of them without a look at how many inputs there are, and
// ends when one leads nowhere; so each is looked at here. solver/llbsolver/ops of BuildKit.
import { Refusal } from './grpc.ts';
import { type Message, messageOf, messagesOf, numberIn } from './protobuf.ts';

/** What stands for no input, or no output. */
const NONE = -1;

/** @throws {Refusal} for a step that refers to what it does not have */
export function refuseBrokenReferences(op: Message, at: string): void {
  const inputs = messagesOf(op, 'inputs');
  const count = inputs.length;
  for (const [i, input] of inputs.entries()) refuseOutside(input, 'index', `${at}.inputs[${i}]`, 0);
  const exec = messageOf(op, 'exec');
  if (exec !== undefined) {
    existing(exec, 'meta', `${at}.exec`);
    for (const [i, mount] of messagesOf(exec, 'mounts').entries()) {
      refuseOutside(mount, 'input', `${at}.exec.mounts[${i}]`, NONE, count);
      refuseOutside(mount, 'output', `${at}.exec.mounts[${i}]`, NONE);
    }
  }
  const diff = messageOf(op, 'diff');
  if (diff !== undefined) {
    for (const side of ['lower', 'upper'])
      refuseOutside(existing(diff, side, `${at}.diff`), 'input', `${at}.diff.${side}`, NONE, count);
  }
  const merge = messageOf(op, 'merge');
  if (merge !== undefined) {
    const merged = messagesOf(merge, 'inputs');
    if (merged.length !== count) refuse(`${at}.merge has ${merged.length} inputs, and its step ${count}`);
    for (const [i, input] of merged.entries()) refuseOutside(input, 'input', `${at}.merge.inputs[${i}]`, 0, count);
  }
  const file = messageOf(op, 'file');
  if (file !== undefined) refuseBrokenActions(messagesOf(file, 'actions'), count, `${at}.file`);
}

const ACTIONS = ['copy', 'mkfile', 'mkdir', 'rm', 'symlink'];

/** An action takes inputs of the step, and behind them what other actions made. */
function refuseBrokenActions(actions: readonly Message[], count: number, at: string): void {
  for (const [i, action] of actions.entries()) {
    const where = `${at}.actions[${i}]`;
    for (const field of ['input', 'secondaryInput']) refuseOutside(action, field, where, NONE, count + actions.length);
    refuseOutside(action, 'output', where, NONE, actions.length);
    for (const kind of ACTIONS) {
      const owner = messageOf(messageOf(action, kind) ?? {}, 'owner') ?? {};
      for (const who of ['user', 'group']) {
        const named = messageOf(messageOf(owner, who) ?? {}, 'byName');
        if (named !== undefined) refuseOutside(named, 'input', `${where}.${kind}.owner.${who}`, 0, count);
      }
    }
  }
}

function existing(message: Message, field: string, at: string): Message {
  return messageOf(message, field) ?? refuse(`${at} has no ${field}`);
}

/** @param below first number that is too large */
function refuseOutside(message: Message, field: string, at: string, least: number, below = 2 ** 31): void {
  const value = numberIn(message, field);
  if (value < least || value >= below)
    refuse(`${at}.${field} is ${value}, which is out of range (allowed: ${least} to ${below - 1})`);
}

function refuse(why: string): never {
  throw new Refusal('invalid-argument', `${why}; a step refers only to inputs it has`);
}
