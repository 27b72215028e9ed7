// Masks secrets in texts that are otherwise kept: credentials in addresses, what follows a telling word, and tokens known
// by their shape. Each becomes a keyed hash, so that equal secrets can be recognised with the key and read by nobody.
import { createHmac } from 'node:crypto';

/** Characters of the keyed hash that are kept: enough to recognise, too few to attack. */
const HASH_CHARACTERS = 16;
/** Stands for a secret in a message. */
const HIDDEN = '***';

/** Key of a log, by which equal secrets can be recognised; undefined where nobody is to recognise any: in messages. */
export type MaskKey = Uint8Array | undefined;

/** Masks one value. An empty value is no secret. */
export const mask = (value: string, key: MaskKey): string =>
  value === ''
    ? ''
    : key === undefined
      ? HIDDEN
      : `hmac:${createHmac('sha256', key).update(value).digest('hex').slice(0, HASH_CHARACTERS)}`;

const WORD =
  'pass(?:word|wd|phrase|code)?|pwd|secret|token|credential|cookie|api[-_]?key|private[-_]?key|access[-_]?key|auth';
/** A name that says its value is a secret. */
const TELLING = new RegExp(WORD, 'i');
/** Telling by accident: what they name is public, or only says where the secret is. */
const HARMLESS = /author(?!iz)|passthrough|bypass|compass|(?:file|path|dir|url|uri|name|id|type|mode|ttl|expiry)$/i;

/** Says a name that its value is a secret: `DB_PASSWORD`, `--token`, `splunk-token`; not `author`, not `secret-file`. */
export const isTelling = (name: string): boolean => TELLING.test(name) && !HARMLESS.test(name);

const VALUE = `"[^"]*"|'[^']*'|[^\\s"'\`;&|<>(),]+`;
/** `Authorization: Bearer x`, `X-Registry-Auth: x`, `cookie: x`, also within quotes. */
const HEADER =
  /(?<![\w-])((?:proxy-)?authorization|x-registry-(?:auth|config)|(?:set-)?cookie|x-[\w-]*(?:key|token))(\s*[:=]\s*(?:(?:bearer|basic|token)\s+)?)([^\s"'`]+)/gi;
/** `NAME=value`, `--name=value`, `"name":"value"`. */
const ASSIGNMENT = new RegExp(`(?<![\\w.-])([\\w.-]*(?:${WORD})[\\w.-]*)(["']?\\s*[=:]\\s*)(${VALUE})`, 'gi');
/** `--name value`, within one text. */
const FLAG = new RegExp(`(?<![\\w-])(--?[\\w-]*(?:${WORD})[\\w-]*)(\\s+)(?!-)(${VALUE})`, 'gi');
/** `-u name:secret` and `--user name:secret`, as curl takes it. */
const USER_FLAG = /(\s-u\s*|--user[= ])([^\s:"']+:)([^\s"']+)/g;
/** Tokens that are known by their shape, wherever they stand. */
const SHAPES =
  /\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|\bSWM(?:TKN|KEY)-1-[\w+/-]+|\b(?:ghp|gho|ghu|ghs|ghr|github_pat|glpat|dckr_pat|dckr_oat|npm|xox[abpr]|sk)[-_][\w-]{16,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?/g;
const MASKED = /^["']?(?:hmac:|\*\*\*)/;

/** Longest text that is searched, in characters: beyond, it is a document, and one hash says which. */
const MAX_READ = 4096;

/** A text that is kept, without the secrets in it. Every pattern begins where a word begins, so that time stays linear. */
export function maskText(text: string, key: MaskKey): string {
  if (text.length > MAX_READ) return `[${text.length} characters, ${mask(text, key)}]`;
  let kept = text.includes('://') ? maskAddresses(text, key) : text;
  if (kept.length >= 8) {
    kept = kept.replace(SHAPES, (found) => mask(found, key));
    if (TELLING.test(kept) || /cookie|x-\w/i.test(kept)) {
      kept = kept.replace(HEADER, (all, name: string, between: string, value: string) =>
        MASKED.test(value) ? all : `${name}${between}${mask(value, key)}`,
      );
      kept = kept.replace(FLAG, (all, name: string, between: string, value: string) =>
        isTelling(name) && !MASKED.test(value) ? `${name}${between}${maskQuoted(value, key)}` : all,
      );
      kept = kept.replace(ASSIGNMENT, (all, name: string, between: string, value: string) =>
        isTelling(name) && !MASKED.test(value) && !/^(?:bearer|basic)$/i.test(value)
          ? `${name}${between}${maskQuoted(value, key)}`
          : all,
      );
    }
    kept = kept.replace(
      USER_FLAG,
      (_all, flag: string, user: string, value: string) => `${flag}${user}${mask(value, key)}`,
    );
  }
  return kept;
}

function maskQuoted(value: string, key: MaskKey): string {
  const quote = value[0] === '"' || value[0] === "'" ? value[0] : '';
  return quote === '' ? mask(value, key) : `${quote}${mask(value.slice(1, -1), key)}${quote}`;
}

/** User information and query values of every address in a text. */
export const maskAddresses = (text: string, key: MaskKey): string =>
  text.replace(/(?<![\w+.-])([\w+.-]+:\/\/)([^\s"'`<>]+)/g, (_all, scheme: string, rest: string) => {
    const end = rest.search(/[/?#]/);
    const authority = end < 0 ? rest : rest.slice(0, end);
    // The last @ ends the user information; a password may hold others.
    const at = authority.lastIndexOf('@');
    const head = at < 0 ? authority : `${mask(authority.slice(0, at), key)}@${authority.slice(at + 1)}`;
    return scheme + head + (end < 0 ? '' : maskQueryOf(rest.slice(end), key));
  });

/** An address as a whole value: more is masked than in free text, as no other reading is likely. */
export function maskAddress(text: string, key: MaskKey): string {
  if (text.length > MAX_READ) return maskText(text, key);
  const [, scheme = '', rest = ''] = /^(\s*[\w+.-]+:\/\/)?(.*)$/s.exec(text) ?? [];
  const query = rest.search(/[?#]/);
  const place = query < 0 ? rest : rest.slice(0, query);
  const at = place.lastIndexOf('@');
  const user = place.slice(0, Math.max(at, 0));
  // `git@host:repo` names no secret; `user:secret@host` does, and so does whatever stands before an @ after a scheme.
  const isSecret = at >= 0 && (scheme !== '' || user.includes(':'));
  const kept = isSecret ? `${mask(user, key)}@${place.slice(at + 1)}` : place;
  return scheme + kept + (query < 0 ? '' : maskQueryOf(rest.slice(query), key));
}

function maskQueryOf(text: string, key: MaskKey): string {
  const from = text.indexOf('?');
  if (from < 0) return text;
  const [query = '', ...fragment] = text.slice(from + 1).split('#');
  const masked = query
    .split('&')
    .map((pair) => {
      const at = pair.indexOf('=');
      return at < 0 ? mask(pair, key) : `${pair.slice(0, at + 1)}${mask(pair.slice(at + 1), key)}`;
    })
    .join('&');
  return `${text.slice(0, from)}?${masked}${fragment.length > 0 ? `#${fragment.join('#')}` : ''}`;
}

/** `NAME=value` with the value masked; a text without `=` is a name. */
export function maskAssignment(text: string, key: MaskKey): string {
  const at = text.indexOf('=');
  return at < 0 ? text : `${text.slice(0, at + 1)}${mask(text.slice(at + 1), key)}`;
}

/** `addr=10.0.0.1,password=x`, as mount options are written: only values of telling names are masked. */
export const maskOptions = (text: string, key: MaskKey): string =>
  text
    .split(',')
    .map((part) => {
      const at = part.indexOf('=');
      return at >= 0 && isTelling(part.slice(0, at)) ? maskAssignment(part, key) : maskText(part, key);
    })
    .join(',');

/** A command line stays, but for what follows a telling word: `--password x`, `--token=x`, `-e SECRET=x`. */
export function maskArguments(list: readonly string[], key: MaskKey): string[] {
  let hideNext = false;
  return list.map((text) => {
    const hide = hideNext && !text.startsWith('-');
    hideNext = /^--?[\w-]+$/.test(text) && isTelling(text);
    return hide ? mask(text, key) : maskText(text, key);
  });
}

/** A value as messages may show it: masked whole, before anything of it is cut off. */
export const withoutSecrets = (text: string): string =>
  text.includes('@') && !/\s/.test(text) && text.length <= MAX_READ
    ? maskText(maskAddress(text, undefined), undefined)
    : maskText(text, undefined);
