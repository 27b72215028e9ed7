// What the engine says of a source or an entitlement it was told to refuse, in the words of policy. Pure.
import { matchesGlob } from '../../policy/build/index.ts';
import type { Build } from './build.ts';

export function explained(text: string, build: Build): string {
  return text
    .replace(
      /(network\.host|security\.insecure) is not allowed/g,
      (_words, name: string) =>
        `denied by policy ${build.policy}: entitlement ${name} is not among its build.entitlements [audit ${build.auditId}]`,
    )
    .replace(/source "([^"]*)" (?:denied|not allowed) by policy[^\n]*/g, (_words, identifier: string) => {
      const name = identifier.replace(/^docker-image:\/\//, '');
      // Some engines add the digest.
      const tag = name.replace(/@.*$/, '');
      if (identifier !== name && build.stored?.hidden.includes(tag) === true) {
        return `pull access denied for ${name}, repository does not exist or may require 'docker login' [audit ${build.auditId}]`;
      }
      if (matchesGlob(build.grant.sources, identifier)) {
        const allowed = build.grant.frontends.map((glob) => glob.replace(/^docker-image:\/\//, '')).join(', ');
        const why =
          build.stored?.made.includes(tag) === true ? 'was made here, so it is no frontend of its registry; it ' : '';
        return `denied by policy ${build.policy}: frontend ${name} ${why}is not among its build.frontends (allowed: ${allowed || 'none'}) [audit ${build.auditId}]`;
      }
      const what = identifier === name ? name : `FROM ${name}`;
      return `denied by policy ${build.policy}: ${what} is not among its build sources [audit ${build.auditId}]`;
    });
}
