// A chain whose plugins are told that nothing they see reaches an engine.
import type { PluginChain } from './chain.ts';
import type { AdmissionContext } from './request.ts';

export function asDryRun(chain: PluginChain): PluginChain {
  const dry = (context: AdmissionContext): AdmissionContext => ({ ...context, dryRun: true });
  return {
    ...chain,
    mutate: (call, context, reread) => chain.mutate(call, dry(context), reread),
    validate: (call, context) => chain.validate(call, dry(context)),
    responses: (call, context) => chain.responses(call, dry(context)),
    stream: (call, context) => chain.stream(call, dry(context)),
  };
}
