// Masks secrets in texts that are otherwise kept: credentials in addresses, values after a telling word, and tokens known
// by their shape. Each becomes a keyed hash, so that the key's holder can recognise equal secrets but read none.
import { createHmac } from 'node:crypto';

/** Characters of the keyed hash that are kept: enough to recognise, too few to attack. */
const HASH_CHARACTERS = 16;
/** Stands for a secret in a message. */
const HIDDEN = '***';

/** Key of a log, by which equal secrets can be recognised; undefined in messages, where secrets are not to be recognised. */
export type MaskKey = Uint8Array | Secrets | undefined;

/** Shorter ones would hide half of every sentence. */
const MIN_HIDDEN = 4;
/** Shorter ones are hidden where they stand as a word of their own. */
const MIN_ANYWHERE = 8;
/** Words that stand in any sentence and are no secret. */
const PLAIN = /^(?:true|false|null|none|host|default|bridge|root|linux|local|\d{1,3})$/i;

/** So many values, the longest, are looked for in every form; of a call with thousands more the rest is looked for as it is. */
const MAX_FORMS = 2000;

/** The secrets of one call as they are masked, so that they can be taken out of sentences that quote the call. */
export class Secrets {
  readonly #key: Uint8Array | undefined;
  readonly #values = new Set<string>();
  #sorted: readonly string[] | undefined;
  readonly #forms = new Map<string, Set<string>>();

  constructor(key: Uint8Array | undefined) {
    this.#key = key;
  }

  /** Remembers a value. @returns a mark in its place: it is hashed where it is found, a call may hold tens of thousands */
  add(value: string): string {
    this.#values.add(value);
    this.#sorted = undefined;
    return 'hmac:';
  }

  /** A text without them, in any of the forms in which a request carries them. */
  hide(text: string): string {
    let shown = text;
    // A secret may be part of another one: the longest come first.
    this.#sorted ??= [...this.#values]
      .filter((value) => value.length >= MIN_HIDDEN && !PLAIN.test(value))
      .sort((a, b) => b.length - a.length);
    let looked = 0;
    for (const value of this.#sorted) {
      // No form is shorter than the value: a value longer than the text is not in it.
      if (value.length > text.length) continue;
      for (const form of looked++ < MAX_FORMS ? this.#formsOf(value) : [value]) {
        if (!shown.includes(form)) continue;
        const hidden = mask(value, this.#key);
        shown =
          form.length >= MIN_ANYWHERE
            ? shown.replaceAll(form, () => hidden)
            : shown.replace(new RegExp(`(?<!\\w)${escaped(form)}(?!\\w)`, 'g'), () => hidden);
      }
    }
    return shown;
  }

  #formsOf(value: string): Set<string> {
    let forms = this.#forms.get(value);
    if (forms === undefined) {
      forms = formsOf(value);
      this.#forms.set(value, forms);
    }
    return forms;
  }
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

function formsOf(value: string): Set<string> {
  const whole = value.isWellFormed() ? value : value.toWellFormed();
  return new Set([
    value,
    JSON.stringify(value).slice(1, -1),
    encodeURIComponent(whole),
    Buffer.from(whole).toString('base64').replace(/=+$/, ''),
    Buffer.from(whole).toString('base64url'),
  ]);
}

/** Masks one value. An empty value is no secret. */
export const mask = (value: string, key: MaskKey): string =>
  value === ''
    ? ''
    : key === undefined
      ? HIDDEN
      : key instanceof Secrets
        ? key.add(value)
        : `hmac:${createHmac('sha256', key).update(value).digest('hex').slice(0, HASH_CHARACTERS)}`;

const WORD =
  'pass(?:word|wd|phrase|code)?|pwd|secret|token|credential|cookie|(?:api|private|access|account|shared|encryption|signing)[-_.]?key|connection[-_.]?string|jwt|bearer|auth';
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
    const head = at < 0 ? authority : `${maskUserInfo(authority.slice(0, at), key)}@${authority.slice(at + 1)}`;
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
  const kept = isSecret ? `${maskUserInfo(user, key)}@${place.slice(at + 1)}` : place;
  return scheme + kept + (query < 0 ? '' : maskQueryOf(rest.slice(query), key));
}

/** A user and a password, each by itself and as it is meant: the password is found wherever else it stands. */
function maskUserInfo(text: string, key: MaskKey): string {
  if (text === HIDDEN) return text;
  const at = text.indexOf(':');
  if (at < 0 || key === undefined) return mask(decoded(text), key);
  return `${mask(decoded(text.slice(0, at)), key)}:${mask(decoded(text.slice(at + 1)), key)}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function maskQueryOf(text: string, key: MaskKey): string {
  const from = text.indexOf('?');
  // Behind `#` stands a branch and a folder.
  if (from < 0) return maskText(text, key);
  const [query = '', ...fragment] = text.slice(from + 1).split('#');
  const masked = query
    .split('&')
    .map((pair) => {
      const at = pair.indexOf('=');
      return at < 0 ? mask(decoded(pair), key) : `${pair.slice(0, at + 1)}${mask(decoded(pair.slice(at + 1)), key)}`;
    })
    .join('&');
  return `${text.slice(0, from)}?${masked}${fragment.length > 0 ? `#${maskText(fragment.join('#'), key)}` : ''}`;
}

/** A variable's name as people write them: what else stands without a value may be one. */
const VARIABLE = /^(?:[A-Z_][A-Z0-9_]*|[a-z_.-]{1,16})$/;

/** `NAME=value` with the value masked; a text without `=` is a name. */
export function maskAssignment(text: string, key: MaskKey): string {
  const at = text.indexOf('=');
  if (at < 0) return VARIABLE.test(text) ? text : mask(text, key);
  return `${text.slice(0, at + 1)}${mask(text.slice(at + 1), key)}`;
}

/** `NAME=value` as variables are written, wherever it stands in a text: values of all of them are masked. */
export const maskVariables = (text: string, key: MaskKey): string =>
  text.replace(/(?<![\w.-])([A-Z_][A-Z0-9_]*=)("[^"]*"|'[^']*'|[^\s,;"']+)/g, (all, name: string, value: string) =>
    MASKED.test(value) ? all : `${name}${maskQuoted(value, key)}`,
  );

/** `addr=10.0.0.1,password=x`, as mount options are written: only values of telling names are masked. */
export const maskOptions = (text: string, key: MaskKey): string =>
  text
    .split(',')
    .map((part) => {
      const at = part.indexOf('=');
      return at >= 0 && isTelling(part.slice(0, at)) ? maskAssignment(part, key) : maskText(part, key);
    })
    .join(',');

/** A command line stays, except for the values after a telling word: `--password x`, `--token=x`, `-e SECRET=x`. */
export function maskArguments(list: readonly string[], key: MaskKey): string[] {
  let hideNext = false;
  let flags: PasswordFlags | undefined;
  return list.map((text) => {
    const hide = hideNext && !text.startsWith('-');
    hideNext = (/^--?[\w-]+$/.test(text) && isTelling(text)) || flags?.apart.includes(text) === true;
    // The program may stand behind `sudo`, `exec` or an entrypoint.
    flags = PASSWORD_FLAGS.get(text.slice(text.lastIndexOf('/') + 1)) ?? flags;
    if (hide) return mask(text, key);
    const joined = flags?.joined.find((flag) => text.startsWith(flag) && text.length > flag.length);
    return joined === undefined ? maskText(text, key) : `${joined}${mask(text.slice(joined.length), key)}`;
  });
}

interface PasswordFlags {
  /** Flags whose value is the next word. */
  readonly apart: readonly string[];
  /** Flags whose value stands right behind them. */
  readonly joined: readonly string[];
}

const SHORT: PasswordFlags = { apart: ['-p'], joined: [] };
const MYSQL: PasswordFlags = { apart: [], joined: ['-p'] };
/** Programs whose flag for a password has no telling name. */
const PASSWORD_FLAGS: ReadonlyMap<string, PasswordFlags> = new Map([
  ...['mysql', 'mysqladmin', 'mysqldump', 'mysqlcheck', 'mysqlimport', 'mariadb', 'mariadb-dump', 'mariadb-admin'].map(
    (name) => [name, MYSQL] as const,
  ),
  ...['login', 'mongo', 'mongosh', 'mongodump', 'mongorestore'].map((name) => [name, SHORT] as const),
  ['curl', { apart: ['-u', '--user', '-U', '--proxy-user'], joined: ['-u'] }],
  ['sshpass', { apart: ['-p'], joined: ['-p'] }],
  ['redis-cli', { apart: ['-a'], joined: [] }],
  ['smbclient', { apart: ['-U'], joined: ['-U'] }],
  ['ldapsearch', { apart: ['-w'], joined: ['-w'] }],
  ['ldapadd', { apart: ['-w'], joined: ['-w'] }],
  ['ldapmodify', { apart: ['-w'], joined: ['-w'] }],
  ['openssl', { apart: ['-k', '-K', '-pass', '-passin', '-passout'], joined: [] }],
  ['rabbitmqadmin', { apart: ['-p'], joined: [] }],
  ['sqlcmd', { apart: ['-P'], joined: ['-P'] }],
  ['zip', { apart: ['-P'], joined: [] }],
  ['unzip', { apart: ['-P'], joined: [] }],
  ['7z', { apart: [], joined: ['-p'] }],
]);

/** Longest word with digits that stays in a User-Agent beside products and their versions, in characters. */
const MAX_WORD = 11;
const MAX_VERSION = 40;

/** A User-Agent: products with their versions and words; what reads like neither is masked. */
export const maskClient = (text: string, key: MaskKey): string =>
  maskText(text, key).replace(/[^\s();,]+/g, (word) => {
    if (MASKED.test(word) || word.includes('hmac:') || word.includes(HIDDEN)) return word;
    const slash = word.indexOf('/');
    if (slash > 0) return word.length - slash <= MAX_VERSION ? word : mask(word, key);
    return word.length <= MAX_WORD || (!/\d/.test(word) && word.length <= MAX_VERSION) ? word : mask(word, key);
  });

/** A value as messages may show it: masked whole, before anything of it is cut off. */
export const withoutSecrets = (text: string): string =>
  text.includes('@') && !/\s/.test(text) && text.length <= MAX_READ
    ? maskText(maskAddress(text, undefined), undefined)
    : maskText(text, undefined);
