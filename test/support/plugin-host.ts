// A plugin in the test's own thread, behind the guest that serves every tier: for what does not depend on isolation.
import { readDescription } from '../../src/admission/hosts/describe.ts';
import { createGuest } from '../../src/admission/hosts/guest.ts';
import type { PluginHost } from '../../src/admission/hosts/host.ts';
import { HOOK_TIMES } from '../../src/admission/hosts/host.ts';
import { Job, noAnswer } from '../../src/admission/hosts/job.ts';
import type { FromGuest } from '../../src/admission/hosts/protocol.ts';

/** @param config as the plugin's reader would give it */
export function directHost(plugin: object, config: unknown = {}): PluginHost {
  const jobs = new Map<number, Job>();
  let described: Extract<FromGuest, { kind: 'described' }> | undefined;
  const guest = createGuest(plugin, (message) => {
    if (message.kind === 'described') described = message;
    if (message.kind === 'answered') jobs.get(message.id)?.answer(message.value, message.annotations);
    if (message.kind === 'threw') jobs.get(message.id)?.threw(message.message);
  });
  guest.describe();
  const { description } = readDescription(described?.description ?? null);
  guest.receive({ kind: 'configure', config: config as never, name: description.meta.name, env: {} });
  let ids = 0;
  return {
    name: description.meta.name,
    use: description.meta.name,
    tier: 'trusted',
    sha256: '',
    description,
    ask(hook, input) {
      const job = new Job(++ids, hook, input);
      jobs.set(job.id, job);
      job.expire(HOOK_TIMES.wallMs, noAnswer(HOOK_TIMES.wallMs), () => undefined);
      guest.receive({ kind: 'ask', id: job.id, hook, input });
      return job.result;
    },
    async close() {},
  };
}
