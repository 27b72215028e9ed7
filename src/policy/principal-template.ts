// Fills `${principal.x}` from the principal alone. A missing or unsafe value is an error, never a wildcard.

import { didYouMean } from './suggest.ts';
import type { Principal } from './types.ts';

/** Attributes a template may name. `owner` is the claim of that name; further claims are `claims.NAME`. */
export const ATTRIBUTES: readonly string[] = ['subject', 'issuer', 'tenant', 'owner', 'tokenId'];

const PLACE = /\$\{([^}]*)\}/g;
const CLAIM = /^claims\.[A-Za-z0-9_-]{1,64}$/;
/** Longest value put into a template, in characters. */
const MAX_VALUE_LENGTH = 256;

/** Text with places to fill: literal, attribute, literal, attribute, ..., literal. */
export interface Template {
  readonly text: string;
  readonly parts: readonly string[];
}

/** What a filled value must not hold: in `name` also what would widen or change the meaning of a resource pattern. */
export type TemplateUse = 'text' | 'name' | 'image';
const FORBIDDEN: Readonly<Record<TemplateUse, RegExp | undefined>> = {
  text: undefined,
  name: /[*$/]/,
  // In an image reference a colon or an at sign would begin a tag or a digest.
  image: /[*$/:@]/,
};

/** Splits a text at its places. Without any, it is the text alone. */
export function parseTemplate(text: string): Template {
  const parts: string[] = [];
  let end = 0;
  for (const match of text.matchAll(PLACE)) {
    parts.push(text.slice(end, match.index), (match[1] as string).replace(/^principal\./, ''));
    end = match.index + match[0].length;
  }
  parts.push(text.slice(end));
  return { text, parts };
}

export const isFixed = (template: Template): boolean => template.parts.length === 1;

/** The fault of the places of a text; undefined when there is none. */
export function faultOfTemplate(text: string): string | undefined {
  for (const match of text.matchAll(PLACE)) {
    const name = match[1] as string;
    const attribute = name.replace(/^principal\./, '');
    const known = ATTRIBUTES.includes(attribute) || CLAIM.test(attribute);
    if (name !== attribute && known) continue;
    const right = ATTRIBUTES.map((a) => `\${principal.${a}}`).join(', ');
    if (known) return `${match[0]} lacks principal; write \${principal.${attribute}}`;
    return `${match[0]} is not known; write ${right} or \${principal.claims.NAME}${didYouMean(attribute, ATTRIBUTES)}`;
  }
  if (text.replace(PLACE, '').includes('$'))
    return `a $ stands alone in ${JSON.stringify(text)}; write \${principal.x}`;
  return undefined;
}

/** Filled text, or why it cannot be filled. */
export type Filled = { readonly text: string } | { readonly error: string };

export function fillTemplate(template: Template, principal: Principal, use: TemplateUse): Filled {
  const { parts } = template;
  let text = parts[0] as string;
  for (let i = 1; i + 1 < parts.length; i += 2) {
    const attribute = parts[i] as string;
    const value = attributeOf(principal, attribute);
    const place = `\${principal.${attribute}}`;
    if (value === undefined || value === '') return { error: `the caller has no ${attribute} to fill ${place}` };
    if (value.length > MAX_VALUE_LENGTH) return { error: `the caller's ${attribute} is too long for ${place}` };
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    if (/[\x00-\x1f\x7f]/.test(value) || FORBIDDEN[use]?.test(value)) {
      return { error: `the caller's ${attribute} holds a character that may not fill ${place}` };
    }
    text += value + (parts[i + 1] as string);
  }
  return { text };
}

function attributeOf(principal: Principal, attribute: string): string | undefined {
  switch (attribute) {
    case 'subject':
      return principal.subject;
    case 'issuer':
      return principal.issuer;
    case 'tenant':
      return principal.tenant;
    case 'tokenId':
      return principal.tokenId;
    case 'owner':
      return claimOf(principal, 'owner');
    default:
      return attribute.startsWith('claims.') ? claimOf(principal, attribute.slice('claims.'.length)) : undefined;
  }
}

function claimOf(principal: Principal, name: string): string | undefined {
  if (!Object.hasOwn(principal.claims, name)) return undefined;
  const value = principal.claims[name];
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : undefined;
}
