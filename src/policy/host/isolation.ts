// Checks what separates a container from its host: namespaces, capabilities, security options, kernel settings, users.
import { Buffer } from 'node:buffer';
import type { Json } from '../../engine/types.ts';
import { checkLogAmount } from './amounts.ts';
import { SAFE_LOG_OPTIONS, SAFE_SELINUX_TYPES } from './presets.ts';
import type { Check, Report, Rows } from './report.ts';
import { listOf, objectOf, oneOf, oneOfWords, quote, walk } from './report.ts';
import type { HostRules, NameSet } from './rules.ts';
import { canonicalCapability, isNamed, seccompHash } from './rules.ts';

const deny = (report: Report, at: string, value: Json | undefined, allowed: string): void =>
  report.deny(at, value, `is ${quote(value)} (allowed: ${allowed})`);

export const mustBeFalse: Check = (value, at, report) => deny(report, at, value, 'false');

/** Joining a container is judged by who owns it, where the call's objects are judged. */
const joinsContainer = (mode: string): boolean => mode.startsWith('container:') && mode.length > 'container:'.length;

/**
 * NetworkMode. A name without a colon is a network, judged as an object. The engine knows `host` in lower case only;
 * other cases count as `host` too, since a network of that name is never meant.
 */
export const networkMode: Check = (value, at, report) => {
  if (typeof value === 'string') {
    if (joinsContainer(value)) return;
    if (!value.includes(':') && !isHostNetwork(value)) return;
  }
  deny(report, at, value, 'default, bridge, none, a network of your own or container:NAME');
};

/** The host's network by its name; by its id only the resolved object shows it. */
export const isHostNetwork = (name: Json | undefined): boolean =>
  typeof name === 'string' && name.toLowerCase() === 'host';

const modeOf =
  (words: readonly string[], joins: boolean): Check =>
  (value, at, report) => {
    if (typeof value === 'string' && (words.includes(value) || (joins && joinsContainer(value)))) return;
    deny(report, at, value, oneOfWords(['empty', ...words, ...(joins ? ['container:NAME'] : [])]));
  };

export const pidMode: Check = modeOf([], true);
export const ipcMode: Check = modeOf(['none', 'private', 'shareable'], true);
/** UTSMode, UsernsMode, CgroupnsMode. */
export const privateMode: Check = modeOf(['private'], false);
/** `default` is what inspect shows for an empty one. */
export const isolation: Check = modeOf(['default'], false);

export const capabilitiesCheck =
  (rules: HostRules): Check =>
  (value, at, report) => {
    const list = listOf(value, at, report);
    for (let i = 0; i < list.length; i += 1) {
      const name = list[i];
      if (typeof name === 'string') {
        const canonical = canonicalCapability(name);
        if (rules.capabilities.has(canonical) || (canonical !== 'ALL' && rules.capabilities.has('ALL'))) continue;
      }
      report.deny(
        `${at}[${i}]`,
        name,
        `adds the capability ${quote(name)} (allowed: ${oneOfWords(rules.capabilities)})`,
      );
    }
  };

/** Whether CapDrop names ALL in any spelling. */
export function dropsAll(value: Json | undefined): boolean {
  return Array.isArray(value) && value.some((name) => typeof name === 'string' && canonicalCapability(name) === 'ALL');
}

/** What Go's strconv.ParseBool takes for true. */
const TRUE: ReadonlySet<string> = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);

/** A security option as the engine splits it: at the first `=` if there is one anywhere, else at the first `:`. */
function splitOption(option: string): readonly [string, string | undefined] {
  const equals = option.indexOf('=');
  const at = equals >= 0 ? equals : option.indexOf(':');
  return at < 0 ? [option, undefined] : [option.slice(0, at), option.slice(at + 1)];
}

export const isNoNewPrivileges = (option: Json | undefined): boolean => {
  if (typeof option !== 'string') return false;
  const [key, value] = splitOption(option);
  return key === 'no-new-privileges' && (value === undefined || TRUE.has(value));
};

export const securityOptCheck =
  (rules: HostRules): Check =>
  (value, at, report) => {
    const list = listOf(value, at, report);
    for (let i = 0; i < list.length; i += 1) {
      const option = list[i];
      if (typeof option === 'string') checkSecurityOption(rules, option, `${at}[${i}]`, report);
      else deny(report, `${at}[${i}]`, option, 'no-new-privileges');
    }
  };

function checkSecurityOption(rules: HostRules, option: string, at: string, report: Report): void {
  const [key, value = ''] = splitOption(option);
  switch (key) {
    case 'no-new-privileges':
      if (!isNoNewPrivileges(option)) deny(report, at, option, 'no-new-privileges');
      return;
    case 'apparmor':
      if (!rules.apparmorProfiles.has(value))
        deny(report, at, option, `apparmor=${oneOfWords(rules.apparmorProfiles)}`);
      return;
    case 'seccomp':
      checkSeccomp(rules, value, option, at, report);
      return;
    case 'label':
      if (!isSafeLabel(value))
        deny(report, at, option, `label=level:... and label=type: ${oneOfWords(SAFE_SELINUX_TYPES)}`);
      return;
  }
  deny(report, at, option, 'no-new-privileges, and listed profiles of seccomp, apparmor and label');
}

function checkSeccomp(rules: HostRules, profile: string, option: string, at: string, report: Report): void {
  const isNamed = profile === 'builtin' || profile === 'unconfined';
  if (isNamed ? rules.seccompProfiles.has(profile) : isListedProfile(rules, profile)) return;
  const allowed = rules.seccompProfiles.size === 0 ? 'leave it out' : 'leave it out, or send a listed profile';
  deny(report, at, option, `the engine's own profile: ${allowed}`);
}

const isListedProfile = (rules: HostRules, profile: string): boolean =>
  rules.seccompProfiles.size > 0 && rules.seccompProfiles.has(seccompHash(profile));

export function isSafeLabel(label: string): boolean {
  if (label.startsWith('type:')) return SAFE_SELINUX_TYPES.includes(label.slice('type:'.length));
  return label.startsWith('level:');
}

/** Privileges of a service, the same things in other words. */
export function privilegesCheck(rules: HostRules): Check {
  const wordIn =
    (words: readonly string[]): Check =>
    (value, at, report) => {
      if (typeof value !== 'string' || !words.includes(value)) deny(report, at, value, oneOfWords(words));
    };
  const selinux: Rows = new Map<string, Check | null>([
    ['Disable', mustBeFalse],
    ['User', wordIn([])],
    ['Role', wordIn([])],
    ['Type', wordIn(SAFE_SELINUX_TYPES)],
    ['Level', null],
  ]);
  const seccomp: Rows = new Map<string, Check | null>([
    [
      'Mode',
      (value, at, report) => {
        if (value === 'default' || (value === 'custom' && rules.seccompProfiles.size > 0)) return;
        if (value === 'unconfined' && rules.seccompProfiles.has('unconfined')) return;
        deny(report, at, value, 'default');
      },
    ],
    [
      'Profile',
      (value, at, report) => {
        if (typeof value !== 'string' || !isListedProfile(rules, Buffer.from(value, 'base64').toString('utf8'))) {
          deny(report, at, value, rules.seccompProfiles.size === 0 ? 'none' : 'a listed profile');
        }
      },
    ],
  ]);
  const credentials: Rows = new Map<string, Check | null>(
    ['Config', 'File', 'Registry'].map((field) => [field, wordIn([])] as const),
  );
  const rows: Rows = new Map<string, Check | null>([
    ['CredentialSpec', (value, at, report) => walk(credentials, value, at, report)],
    ['SELinuxContext', (value, at, report) => walk(selinux, value, at, report)],
    ['Seccomp', (value, at, report) => walk(seccomp, value, at, report)],
    ['AppArmor', (value, at, report) => walk(new Map([['Mode', wordIn(['default'])]]), value, at, report)],
    ['NoNewPrivileges', null],
  ]);
  return (value, at, report) => walk(rows, value, at, report);
}

/** MaskedPaths, ReadonlyPaths: null keeps the engine's list, an empty list unmasks all. */
export const maskedPaths: Check = (value, at, report) => deny(report, at, value, "null, which keeps the engine's list");

/** Keys of a map, with any value: Sysctls, Annotations. */
export const keysIn =
  (names: NameSet, allowed: string): Check =>
  (value, at, report) => {
    for (const key in objectOf(value, at, report)) {
      if (!isNamed(names, key)) report.deny(at, key, `sets ${quote(key)} (allowed: ${allowed})`);
    }
  };

export const storageOpt: Check = (value, at, report) => {
  for (const key in objectOf(value, at, report)) {
    if (key !== 'size') report.deny(at, key, `sets ${quote(key)} (allowed: size)`);
  }
};

export const oomScoreAdj: Check = (value, at, report) => {
  if ((typeof value !== 'number' && typeof value !== 'bigint') || value < 0) deny(report, at, value, '0 to 1000');
};

const LOG_OPTIONS: ReadonlySet<string> = new Set(SAFE_LOG_OPTIONS);

/**
 * LogConfig, and LogDriver of a service. Without a type the engine uses its default driver with these options, which
 * may be a remote one: only options of the local drivers pass then.
 */
export const logCheck =
  (rules: HostRules, typeField: 'Type' | 'Name', optionsField: 'Config' | 'Options'): Check =>
  (value, at, report) => {
    const log = objectOf(value, at, report);
    if (log === undefined) return;
    const type = log[typeField] ?? '';
    if (typeof type === 'string' && rules.logDrivers.has(type)) {
      // Its own options are free; the buffer is the engine's, with every driver.
      const free = objectOf(log[optionsField], `${at}.${optionsField}`, report);
      for (const key of ['mode', 'max-buffer-size']) {
        if (free?.[key] !== undefined) checkLogAmount(key, free[key], `${at}.${optionsField}`, report);
      }
      return;
    }
    if (type !== '' && !(typeof type === 'string' && rules.safeLogDrivers.has(type))) {
      deny(report, `${at}.${typeField}`, type, oneOfWords([...rules.safeLogDrivers, ...rules.logDrivers]));
      return;
    }
    const options = objectOf(log[optionsField], `${at}.${optionsField}`, report);
    for (const key in options) {
      if (!LOG_OPTIONS.has(key)) {
        report.deny(`${at}.${optionsField}`, key, `sets ${quote(key)} (allowed: options of json-file and local)`);
      } else checkLogAmount(key, options?.[key], `${at}.${optionsField}`, report);
    }
    for (const key in log) if (key !== typeField && key !== optionsField) report.unknown(`${at}.${key}`, log[key]);
  };

export const runtimeCheck = (rules: HostRules): Check =>
  oneOf(rules.runtimes, oneOfWords(["the engine's default", ...rules.runtimes]));

/** The largest id of a user or group the runtimes take. */
const MAX_ID = 2 ** 31 - 1;
const isOtherId = (text: string): boolean => /^\d{1,10}$/.test(text) && Number(text) > 0 && Number(text) <= MAX_ID;

/**
 * User under restricted: numbers, since the image decides what a name means, and the engine always takes a number for an id.
 * User and group: without a group the image's files name it, and where they do not know the user it is root's.
 * The user of the image is not known here, so it must be named.
 */
export function checkUser(value: Json | undefined, at: string, report: Report): void {
  const text = typeof value === 'string' ? value : '';
  const [user = '', group] = text.split(':', 2);
  if (!isOtherId(user)) {
    report.deny(
      at,
      value ?? '',
      `is ${JSON.stringify(text)} (allowed: the numbers of a user and group other than root, like 1000:1000)`,
    );
  } else if (group === undefined) {
    report.deny(
      at,
      value ?? '',
      `is ${JSON.stringify(text)}, which leaves the group to the image, root's where it knows none (allowed: with a group, like ${user}:${user})`,
    );
  } else if (!isOtherId(group) || text.split(':').length > 2) {
    report.deny(at, value, `is ${JSON.stringify(text)} (allowed: the number of a group other than root)`);
  }
}

/** GroupAdd and Groups under restricted: numbers, for the image may give any name the number of root's. */
export const groupsCheck: Check = (value, at, report) => {
  const list = listOf(value, at, report);
  for (let i = 0; i < list.length; i += 1) {
    const group = list[i];
    if (typeof group !== 'string' || !isOtherId(group)) {
      deny(report, `${at}[${i}]`, group, 'the number of a group other than root');
    }
  }
};
