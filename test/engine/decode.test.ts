import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodyKindOf, bodyKindOfTarget, decodeBody, unknownFieldsOf } from '../../src/engine/decode.ts';
import type { LeftOut, Target } from '../../src/engine/types.ts';
import { GatewayError } from '../../src/errors.ts';
import { bytesOf, containerCreate, JSON_TYPE, plain, targetOf } from './targets.ts';

const create = containerCreate();
const exec = targetOf({ id: 'ContainerExec', body: 'ExecConfig' });
const service = targetOf({ id: 'ServiceCreate', body: 'ServiceSpec' });
const volume = targetOf({ id: 'VolumeCreate', body: 'VolumeCreateRequest' });
const network = targetOf({ id: 'NetworkCreate', body: 'NetworkCreateRequest' });
const connect = targetOf({ id: 'NetworkConnect', body: 'NetworkConnectRequest' });
const update = targetOf({ id: 'ContainerUpdate', body: 'ContainerUpdateRequest' });
const secret = targetOf({ id: 'SecretCreate', body: 'SecretSpec' });
const commit = targetOf({ id: 'ImageCommit', body: 'ContainerConfig' });

const decode = (target: Target, text: string | Uint8Array, type: readonly string[] = JSON_TYPE): unknown =>
  plain(decodeBody(target, type, typeof text === 'string' ? bytesOf(text) : text));

const refusal = (code: string, message?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof GatewayError, String(error));
  assert.equal(error.code, code, error.message);
  assert.doesNotMatch(error.message, /\.$/);
  if (message !== undefined) assert.match(error.message, message);
  return true;
};

type Read = readonly [name: string, target: Target, text: string, value: unknown];
const host = (value: unknown): unknown => ({ HostConfig: value });

const READ: readonly Read[] = [
  // keys
  ['lower-case keys', create, '{"hostconfig":{"privileged":true}}', host({ Privileged: true })],
  ['upper-case keys', create, '{"HOSTCONFIG":{"PRIVILEGED":true}}', host({ Privileged: true })],
  ['mixed keys', create, '{"hOSTcONFIG":{"pIDmODE":"host"}}', host({ PidMode: 'host' })],
  ['a long s', create, '{"Ho\u017ftConfig":{"Privileged":true}}', host({ Privileged: true })],
  ['an escaped long s', create, '{"Ho\\u017ftConfig":{"Privileged":true}}', host({ Privileged: true })],
  ['a long s at the end', create, '{"HostConfig":{"Bind\u017f":["/:/h"]}}', host({ Binds: ['/:/h'] })],
  ['two long s in one key', create, '{"HostConfig":{"\u017fy\u017fctls":{"a":"b"}}}', host({ Sysctls: { a: 'b' } })],
  ['a Kelvin sign', create, '{"HostConfig":{"Networ\u212aMode":"host"}}', host({ NetworkMode: 'host' })],
  ['an escaped Kelvin sign', create, '{"HostConfig":{"Ma\\u017f\\u212aedPaths":[]}}', host({ MaskedPaths: [] })],
  ['escaped ASCII letters', create, '{"\\u0048ostConfig":{"\\u0070rivileged":true}}', host({ Privileged: true })],
  [
    'folded keys inside lists',
    create,
    '{"HostConfig":{"mounts":[{"type":"bind","\u017fource":"/"}]}}',
    host({ Mounts: [{ Type: 'bind', Source: '/' }] }),
  ],
  ['folded keys of the exec body', exec, '{"privilegeD":true,"CMD":["id"]}', { Privileged: true, Cmd: ['id'] }],
  [
    'folded keys in driver configurations',
    create,
    '{"HostConfig":{"Mounts":[{"VolumeOptions":{"driverconfig":{"option\u017f":{"o":"bind"}}}}]}}',
    host({ Mounts: [{ VolumeOptions: { DriverConfig: { Options: { o: 'bind' } } } }] }),
  ],
  [
    'lower-case canonical names as they are',
    targetOf({ id: 'SystemAuth', body: 'AuthConfig' }),
    '{"Username":"u","ServerAddress":"r"}',
    { username: 'u', serveraddress: 'r' },
  ],
  [
    'plugin specifications in lower case',
    service,
    '{"TaskTemplate":{"PluginSpec":{"Name":"n","Remote":"r"}}}',
    { TaskTemplate: { PluginSpec: { name: 'n', remote: 'r' } } },
  ],
  // what does not fold
  ['a dotless i as an unknown key', create, '{"HostConfig":{"Pr\u0131vileged":""}}', host({ 'Pr\u0131vileged': '' })],
  ['a dotted capital I as an unknown key', create, '{"HostConfig":{"P\u0130dMode":""}}', host({ 'P\u0130dMode': '' })],
  [
    'full-width letters as an unknown key',
    create,
    '{"HostConfig":{"\uff30rivileged":false}}',
    host({ '\uff30rivileged': false }),
  ],
  [
    'a Cyrillic letter as an unknown key',
    create,
    '{"HostConfig":{"\u0420idMode":null}}',
    host({ '\u0420idMode': null }),
  ],
  [
    'dashes and underscores as unknown keys',
    create,
    '{"HostConfig":{"Pid-Mode":null,"pid_mode":{}}}',
    host({ 'Pid-Mode': null, pid_mode: {} }),
  ],
  [
    'spaces in keys as unknown keys',
    create,
    '{"HostConfig":{" PidMode":null,"PidMode ":null}}',
    host({ ' PidMode': null, 'PidMode ': null }),
  ],
  [
    'a combining mark as an unknown key',
    create,
    '{"HostConfig":{"PidMode\u0301":null}}',
    host({ 'PidMode\u0301': null }),
  ],
  // maps keep their keys
  ['labels that only differ in case', create, '{"Labels":{"a":"1","A":"2"}}', { Labels: { a: '1', A: '2' } }],
  [
    'driver options verbatim',
    volume,
    '{"DriverOpts":{"Type":"none","type":"tmpfs"}}',
    { DriverOpts: { Type: 'none', type: 'tmpfs' } },
  ],
  [
    'map keys with a long s verbatim',
    create,
    '{"HostConfig":{"Sysctls":{"net.\u017f":"1"}}}',
    host({ Sysctls: { 'net.\u017f': '1' } }),
  ],
  ['__proto__ as a label', create, '{"Labels":{"__proto__":"x"}}', { Labels: JSON.parse('{"__proto__":"x"}') }],
  ['exposed ports', create, '{"ExposedPorts":{"80/tcp":{},"81":null}}', { ExposedPorts: { '80/tcp': {}, 81: {} } }],
  // strings for lists
  ['a string for CapAdd', create, '{"HostConfig":{"CapAdd":"SYS_ADMIN"}}', host({ CapAdd: ['SYS_ADMIN'] })],
  ['a string for CapDrop', create, '{"HostConfig":{"CapDrop":"ALL"}}', host({ CapDrop: ['ALL'] })],
  [
    'strings for Cmd, Entrypoint and Shell',
    create,
    '{"Cmd":"id","Entrypoint":"sh","Shell":"sh"}',
    { Cmd: ['id'], Entrypoint: ['sh'], Shell: ['sh'] },
  ],
  ['an empty string for Entrypoint', create, '{"Entrypoint":""}', { Entrypoint: [''] }],
  // null
  [
    'null scalars as absent',
    create,
    '{"User":null,"Tty":null,"StopTimeout":null,"HostConfig":{"Privileged":null,"PidMode":null,"Memory":null,"PidsLimit":null,"OomKillDisable":null,"ConsoleSize":null}}',
    host({}),
  ],
  [
    'null lists, maps and objects as they are',
    create,
    '{"Env":null,"Cmd":null,"Labels":null,"HostConfig":{"MaskedPaths":null,"Mounts":null,"Sysctls":null,"LogConfig":null}}',
    {
      Env: null,
      Cmd: null,
      Labels: null,
      HostConfig: { MaskedPaths: null, Mounts: null, Sysctls: null, LogConfig: null },
    },
  ],
  [
    'an empty list apart from null',
    create,
    '{"HostConfig":{"MaskedPaths":[],"ReadonlyPaths":[]}}',
    host({ MaskedPaths: [], ReadonlyPaths: [] }),
  ],
  ['null in a map of strings as the empty string', create, '{"Labels":{"a":null}}', { Labels: { a: '' } }],
  [
    'null in maps of lists and objects as it is',
    create,
    '{"HostConfig":{"PortBindings":{"80/tcp":null}},"NetworkingConfig":{"EndpointsConfig":{"n":null}}}',
    { HostConfig: { PortBindings: { '80/tcp': null } }, NetworkingConfig: { EndpointsConfig: { n: null } } },
  ],
  ['HostConfig null', create, '{"Image":"a","HostConfig":null}', { Image: 'a', HostConfig: null }],
  ['no HostConfig', create, '{"Image":"a"}', { Image: 'a' }],
  ['null for a whole body', commit, 'null', null],
  // numbers
  [
    'the ends of int64',
    create,
    '{"HostConfig":{"Memory":9223372036854775807,"MemorySwap":-9223372036854775808}}',
    host({ Memory: '9223372036854775807n', MemorySwap: '-9223372036854775808n' }),
  ],
  [
    'the end of uint64',
    create,
    '{"HostConfig":{"IOMaximumIOps":18446744073709551615}}',
    host({ IOMaximumIOps: '18446744073709551615n' }),
  ],
  ['minus zero as zero', create, '{"HostConfig":{"Memory":-0}}', host({ Memory: 0 })],
  ['the end of uint16', create, '{"HostConfig":{"BlkioWeight":65535}}', host({ BlkioWeight: 65535 })],
  [
    'a fraction where one belongs',
    service,
    '{"UpdateConfig":{"MaxFailureRatio":0.25}}',
    { UpdateConfig: { MaxFailureRatio: 0.25 } },
  ],
  [
    'numbers of unknown fields',
    create,
    '{"HostConfig":{"FutureField":[1.0,1e3,9007199254740993,0.1]}}',
    host({ FutureField: [1, 1000, '9007199254740993n', 0.1] }),
  ],
  // old engines
  [
    'empty HostConfig fields at the top, dropped',
    create,
    '{"Memory":0,"CpuShares":0,"Cpuset":"","privileged":false,"Binds":null,"Mounts":[],"LogConfig":{"Type":""}}',
    {},
  ],
  [
    'name and platform that dockerode repeats, dropped',
    create,
    '{"name":"web","platform":"linux/amd64","Image":"a"}',
    { Image: 'a' },
  ],
  ['the container that docker-py repeats, dropped', exec, '{"Container":"web","Cmd":["id"]}', { Cmd: ['id'] }],
  // twice, with one value
  ['a null twice', create, '{"HostConfig":{"Privileged":null,"privileged":null}}', host({})],
  [
    'what docker-java sends of a network',
    network,
    '{"enableIPv6":null,"Name":"s3","EnableIPv6":null,"Internal":true}',
    { Name: 's3', Internal: true },
  ],
  ['a boolean twice', network, '{"enableIPv6":true,"EnableIPv6":true}', { EnableIPv6: true }],
  ['a number in two spellings', create, '{"HostConfig":{"Memory":-0,"memory":0}}', host({ Memory: 0 })],
  ['an escaped key and a plain one', create, '{"Image":"a","\\u0049mage":"a"}', { Image: 'a' }],
  [
    'an object twice, its members in another order',
    create,
    '{"HostConfig":{"Init":true,"PidMode":"host"},"hostconfig":{"PidMode":"host","Init":true}}',
    host({ Init: true, PidMode: 'host' }),
  ],
  [
    'a list of objects three times',
    create,
    '{"HostConfig":{"Mounts":[{"Type":"bind"}],"mounts":[{"type":"bind"}],"MOUNTS":[{"Type":"bind","Source":null}]}}',
    host({ Mounts: [{ Type: 'bind' }] }),
  ],
  [
    'a list and the string that stands for it',
    create,
    '{"HostConfig":{"CapAdd":["ALL"],"capadd":"ALL"}}',
    host({ CapAdd: ['ALL'] }),
  ],
  ['a label twice', create, '{"Labels":{"a":"1","a":"1"}}', { Labels: { a: '1' } }],
  ['a label twice, empty and null', create, '{"Labels":{"a":"","a":null}}', { Labels: { a: '' } }],
  [
    'lists of two spellings of the parent',
    create,
    '{"HostConfig":{"Mounts":[]},"hostconfig":{"Mounts":[]}}',
    host({ Mounts: [] }),
  ],
  ['an unknown key twice', create, '{"HostConfig":{"Future":1,"future":1}}', host({ Future: 1 })],
  ['a dropped key twice', create, '{"name":"a","Name":"a","Image":"b"}', { Image: 'b' }],
  [
    'a word of the swarm in two cases',
    service,
    '{"EndpointSpec":{"Mode":"VIP","mode":"vip"}}',
    { EndpointSpec: { Mode: 'vip' } },
  ],
  // what no engine reads
  ['an unknown field of a create body, left out', create, '{"Image":"a","Future":[1]}', { Image: 'a' }],
  ['the container that docker-java repeats, left out', exec, '{"containerId":"x","Cmd":["id"]}', { Cmd: ['id'] }],
  [
    'an unknown field of a health check, left out',
    create,
    '{"Healthcheck":{"Test":["NONE"],"Odd":true}}',
    { Healthcheck: { Test: ['NONE'] } },
  ],
  [
    'HostConfig fields at the top, left out',
    create,
    '{"Image":"a","Privileged":true,"Dns":["1.1.1.1"]}',
    { Image: 'a' },
  ],
  // swarm words
  [
    'swarm words in lower case',
    service,
    '{"EndpointSpec":{"Mode":"VIP","Ports":[{"Protocol":"TCP","PublishMode":"Host"}]},"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Type":"BIND","Source":"/"}]}}}',
    {
      EndpointSpec: { Mode: 'vip', Ports: [{ Protocol: 'tcp', PublishMode: 'host' }] },
      TaskTemplate: { ContainerSpec: { Mounts: [{ Type: 'bind', Source: '/' }] } },
    },
  ],
  [
    'container mount types exactly as sent',
    create,
    '{"HostConfig":{"Mounts":[{"Type":"BIND"}]}}',
    host({ Mounts: [{ Type: 'BIND' }] }),
  ],
  ['secret data in base64', secret, '{"Name":"s","Data":"c2VjcmV0"}', { Name: 's', Data: 'c2VjcmV0' }],
  ['white space around the body', create, '\n\t {"Image":"a"}\r\n\n', { Image: 'a' }],
  ['line feeds inside strings', create, '{"Cmd":["sh","-c","a\\nb"]}', { Cmd: ['sh', '-c', 'a\nb'] }],
];

for (const [name, target, text, value] of READ) {
  test(`decodeBody() reads ${name}`, () => assert.deepEqual(decode(target, text), value));
}

type Refused = readonly [name: string, target: Target, text: string | Uint8Array, code: string, message?: RegExp];
const REFUSED: readonly Refused[] = [
  // duplicates
  [
    'a duplicate object',
    create,
    '{"HostConfig":{"Privileged":true},"HostConfig":{"NetworkMode":"none"}}',
    'body-ambiguous',
    /"HostConfig" twice/,
  ],
  [
    'a folded duplicate',
    create,
    '{"HostConfig":{"Privileged":false,"privileged":true}}',
    'body-ambiguous',
    /HostConfig has the key "privileged" twice/,
  ],
  ['a duplicate through a long s', create, '{"HostConfig":{},"Ho\u017ftConfig":{"Privileged":true}}', 'body-ambiguous'],
  [
    'a duplicate through a Kelvin sign',
    create,
    '{"HostConfig":{"NetworkMode":"none","Networ\u212aMode":"host"}}',
    'body-ambiguous',
  ],
  ['a duplicate through an escape', create, '{"HostConfig":{},"Host\\u0043onfig":{"Init":true}}', 'body-ambiguous'],
  ['null after a value', create, '{"HostConfig":{"Privileged":true,"Privileged":null}}', 'body-ambiguous'],
  ['a value after null', create, '{"HostConfig":{"Privileged":null,"Privileged":true}}', 'body-ambiguous'],
  ['false after null', create, '{"HostConfig":{"Privileged":null,"privileged":false}}', 'body-ambiguous'],
  ['an empty list after null', create, '{"Env":null,"env":[]}', 'body-ambiguous'],
  ['a list in another order', create, '{"Env":["A=1","B=2"],"env":["B=2","A=1"]}', 'body-ambiguous'],
  [
    'a list of objects that would inherit from the first',
    create,
    '{"HostConfig":{"Mounts":[{"Type":"bind","Source":"/"}],"mounts":[{"Type":"bind"}]}}',
    'body-ambiguous',
  ],
  ['a map that would take in the other', create, '{"Labels":{"a":"1"},"labels":{"b":"1"}}', 'body-ambiguous'],
  ['docker-java’s pair with two values', network, '{"enableIPv6":false,"EnableIPv6":true}', 'body-ambiguous'],
  [
    'equal objects that hold a key with two values',
    create,
    '{"HostConfig":{"Init":true,"init":false},"hostconfig":{"Init":true,"init":false}}',
    'body-ambiguous',
  ],
  ['the third of a kind, another', create, '{"Image":"a","image":"a","IMAGE":"b"}', 'body-ambiguous'],
  ['a string and null', create, '{"HostConfig":{"PidMode":"host","PidMode":null}}', 'body-ambiguous'],
  [
    'a list with a second one',
    create,
    '{"HostConfig":{"Mounts":[{"Type":"bind","Source":"/"}],"Mounts":[{"Target":"/x"}]}}',
    'body-ambiguous',
  ],
  [
    'a list, an empty one and a third',
    create,
    '{"HostConfig":{"Devices":[{}],"Devices":[],"Devices":[{}]}}',
    'body-ambiguous',
  ],
  ['a list and a string for a list', create, '{"HostConfig":{"CapAdd":["CHOWN"],"capadd":"ALL"}}', 'body-ambiguous'],
  [
    'a map key twice',
    create,
    '{"HostConfig":{"Sysctls":{"a":"1","a":"2"}}}',
    'body-ambiguous',
    /Sysctls has the key "a" twice/,
  ],
  ['a label twice', create, '{"Labels":{"owner":"a","owner":"b"}}', 'body-ambiguous'],
  ['a driver option twice', volume, '{"DriverOpts":{"o":"size=1","o":"bind"}}', 'body-ambiguous'],
  [
    'a duplicate inside a list',
    create,
    '{"HostConfig":{"Mounts":[{"Type":"tmpfs","type":"bind"}]}}',
    'body-ambiguous',
    /Mounts\[0\] has/,
  ],
  [
    'a duplicate inside a map of objects',
    create,
    '{"NetworkingConfig":{"EndpointsConfig":{"n":{"Links":[],"links":["a"]}}}}',
    'body-ambiguous',
  ],
  ['a network twice', create, '{"NetworkingConfig":{"EndpointsConfig":{"n":{},"n":null}}}', 'body-ambiguous'],
  ['duplicate unknown keys', create, '{"HostConfig":{"Future":1,"Future":2}}', 'body-ambiguous'],
  ['folded duplicate unknown keys', create, '{"Future":1,"future":2}', 'body-ambiguous'],
  ['folded duplicates below an unknown key', create, '{"Future":{"a":{"Key":1,"\u212aey":2}}}', 'body-ambiguous'],
  ['duplicates among dropped keys', create, '{"name":"a","Name":"b"}', 'body-ambiguous'],
  ['duplicates among what is left out', create, '{"Memory":0,"memory":1}', 'body-ambiguous'],
  ['the container of a connect twice', connect, '{"Container":"mine","container":"theirs"}', 'body-ambiguous'],
  ['the privilege of an exec twice', exec, '{"Privileged":false,"privilegeD":true}', 'body-ambiguous'],
  // types
  [
    'a number for a boolean',
    create,
    '{"HostConfig":{"Privileged":1}}',
    'body-malformed',
    /HostConfig\.Privileged must be a boolean, got a number/,
  ],
  [
    'a string for a boolean',
    create,
    '{"HostConfig":{"Privileged":"true"}}',
    'body-malformed',
    /must be a boolean, got the string "true"/,
  ],
  ['a list for a boolean', create, '{"HostConfig":{"Privileged":[true]}}', 'body-malformed'],
  [
    'an exponent for an integer',
    create,
    '{"HostConfig":{"Memory":1e3}}',
    'body-malformed',
    /Memory must be a whole number, got 1e3/,
  ],
  ['a fraction for an integer', create, '{"HostConfig":{"Memory":1.0}}', 'body-malformed'],
  ['a string for an integer', create, '{"HostConfig":{"Memory":"1"}}', 'body-malformed'],
  [
    'an integer beyond int64',
    create,
    '{"HostConfig":{"Memory":9223372036854775808}}',
    'body-malformed',
    /out of the range of int64/,
  ],
  ['an integer below int64', create, '{"HostConfig":{"Memory":-9223372036854775809}}', 'body-malformed'],
  ['an integer beyond uint64', create, '{"HostConfig":{"IOMaximumIOps":18446744073709551616}}', 'body-malformed'],
  ['a negative uint64', create, '{"HostConfig":{"IOMaximumIOps":-1}}', 'body-malformed'],
  ['minus zero for uint64', create, '{"HostConfig":{"IOMaximumIOps":-0}}', 'body-malformed'],
  ['an integer beyond uint16', create, '{"HostConfig":{"BlkioWeight":65536}}', 'body-malformed', /uint16/],
  ['an integer beyond uint32', create, '{"HostConfig":{"Umask":4294967296}}', 'body-malformed'],
  ['a float beyond float32', service, '{"UpdateConfig":{"MaxFailureRatio":1e39}}', 'body-malformed'],
  [
    'a list for a struct',
    create,
    '[{"HostConfig":{"Privileged":true}}]',
    'body-malformed',
    /the body must be an object, got a list/,
  ],
  ['a string for a struct', create, '{"HostConfig":"{}"}', 'body-malformed', /HostConfig must be an object/],
  ['an object for a list', create, '{"HostConfig":{"Binds":{"0":"/:/h"}}}', 'body-malformed'],
  [
    'a string for a plain list',
    create,
    '{"HostConfig":{"Binds":"/:/h"}}',
    'body-malformed',
    /Binds must be a list of strings/,
  ],
  ['a list for a map', create, '{"Labels":["a=b"]}', 'body-malformed'],
  ['a number in a map of strings', create, '{"Labels":{"a":1}}', 'body-malformed', /Labels\["a"\] must be a string/],
  ['a number in a list of strings', create, '{"Env":["A=1",2]}', 'body-malformed', /Env\[1\]/],
  ['a number in a command', create, '{"Cmd":["sleep",60]}', 'body-malformed', /Cmd\[1\] must be a string/],
  ['a list in a command', create, '{"Cmd":[["id"]]}', 'body-malformed'],
  [
    'null in a list',
    create,
    '{"HostConfig":{"Binds":[null]}}',
    'body-malformed',
    /Binds\[0\] must be a string, got null/,
  ],
  ['null in a list of objects', create, '{"HostConfig":{"Devices":[null]}}', 'body-malformed'],
  [
    'a console of three numbers',
    create,
    '{"HostConfig":{"ConsoleSize":[1,2,3]}}',
    'body-malformed',
    /ConsoleSize: must be a list of 2/,
  ],
  ['an empty console', create, '{"HostConfig":{"ConsoleSize":[]}}', 'body-malformed'],
  ['data that is not base64', secret, '{"Data":"a secret"}', 'body-malformed', /base64/],
  ['data as a list of bytes', secret, '{"Data":[1,2]}', 'body-malformed'],
  [
    'a mismatch named by its path',
    create,
    '{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":80}]}}}',
    'body-malformed',
    /HostConfig\.PortBindings\["80\/tcp"\]\[0\]\.HostPort must be a string, got a number/,
  ],
  // text
  ['a second body', create, '{"Image":"a","HostConfig":{"Privileged":true}}{"Image":"a"}', 'body-malformed', /goes on/],
  ['a bracket after the body', create, '{"Image":"a"}]', 'body-malformed'],
  ['garbage after the body', create, '{"Image":"a"} xyz', 'body-malformed'],
  [
    'invalid UTF-8 in a value',
    create,
    new Uint8Array([...bytesOf('{"Image":"'), 0xff, ...bytesOf('"}')]),
    'body-malformed',
    /UTF-8/,
  ],
  ['invalid UTF-8 in a key', create, new Uint8Array([...bytesOf('{"'), 0xc3, ...bytesOf('":1}')]), 'body-malformed'],
  ['a lone surrogate in a label', create, '{"Labels":{"a":"\\ud800"}}', 'body-malformed', /surrogate/],
  ['NUL in a key', create, '{"HostConfig\\u0000":{}}', 'body-malformed', /NUL/],
  ['NUL in a value', create, '{"Image":"a\\u0000b"}', 'body-malformed'],
  ['a huge number in an unknown field', create, '{"zzz":1e999}', 'body-malformed', /zzz/],
  [
    'deep nesting in an unknown field',
    create,
    `{"z":${'['.repeat(9000)}${']'.repeat(9000)}}`,
    'body-malformed',
    /more than 100 levels/,
  ],
  ['an empty create body', create, '', 'body-malformed', /needs a JSON body/],
  ['null for a create body', create, 'null', 'body-malformed'],
  ['white space for a create body', create, ' \n', 'body-malformed'],
  // swarm words
  [
    'a service mount without a type, which the swarm takes for a bind',
    service,
    '{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Source":"/","Target":"/h"}]}}}',
    'body-malformed',
    /Mounts\[0\]\.Type must be one of bind/,
  ],
  [
    'a service mount with an empty type',
    service,
    '{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Type":"","Source":"/"}]}}}',
    'body-malformed',
  ],
  ['an empty service mount', service, '{"TaskTemplate":{"ContainerSpec":{"Mounts":[{}]}}}', 'body-malformed'],
  [
    'a service mount type with a dotless i, which Go upper-cases to BIND',
    service,
    '{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Type":"b\u0131nd"}]}}}',
    'body-malformed',
  ],
  [
    'a publish mode with a long s, which Go upper-cases to HOST',
    service,
    '{"EndpointSpec":{"Ports":[{"PublishMode":"ho\u017ft"}]}}',
    'body-malformed',
  ],
  [
    'a role the swarm does not know',
    targetOf({ id: 'NodeUpdate', body: 'NodeSpec' }),
    '{"Role":"admin"}',
    'body-malformed',
    /one of worker, manager/,
  ],
];

for (const [name, target, text, code, message] of REFUSED) {
  test(`decodeBody() refuses ${name}`, () => assert.throws(() => decode(target, text), refusal(code, message)));
}

const TYPES: readonly [type: readonly string[], taken: boolean][] = [
  [['application/json'], true],
  [['APPLICATION/JSON'], true],
  [['application/json; charset=utf-8'], true],
  [['application/json;charset=UTF-8'], true],
  [['application/json; charset="utf-8"'], true],
  [[' application/json '], true],
  [[], false],
  [[''], false],
  [['text/plain'], false],
  [['text/json'], false],
  [['application/jsonx'], false],
  [['application/json; charset=utf-16'], false],
  [['application/json; charset=utf-8; charset=utf-16'], false],
  [['application/json; =x'], false],
  [['application/json; boundary=x'], false],
  [['application/json, text/plain'], false],
  [['application/json', 'application/json'], false],
  [['application/json', 'application/x-www-form-urlencoded'], false],
  [['application/x-www-form-urlencoded'], false],
  [['multipart/form-data; boundary=b'], false],
  [['application/x-tar'], false],
];

for (const [type, taken] of TYPES) {
  test(`decodeBody() ${taken ? 'takes' : 'refuses'} JSON under Content-Type ${JSON.stringify(type)}`, () => {
    const run = (): unknown => decode(create, '{"Image":"a"}', type);
    if (taken) assert.deepEqual(run(), { Image: 'a' });
    else assert.throws(run, refusal('content-type-unsupported'));
  });
}

test('decodeBody() takes an empty body for zero values where the engine does', () => {
  for (const target of [exec, commit, volume, network, update, service]) {
    assert.equal(decode(target, '', []), undefined);
    assert.equal(decode(target, '', ['text/plain']), undefined);
  }
  assert.deepEqual(decode(exec, '{}'), {});
});

const start = targetOf({ id: 'ContainerStart', template: '/containers/{id}/start', path: { id: 'x' } });
const stop = targetOf({ id: 'ContainerStop', template: '/containers/{id}/stop', path: { id: 'x' } });
const inspect = targetOf({ id: 'ContainerInspect', method: 'GET' });
const remove = targetOf({ id: 'ContainerDelete', method: 'DELETE' });
const rename = targetOf({ id: 'ContainerRename' });

const NEEDLESS: readonly [name: string, target: Target, text: string, type: readonly string[], code?: string][] = [
  ['nothing on start', start, '', []],
  ['nothing on start with a text type', start, '', ['text/plain']],
  ['nothing under a form type', stop, '', ['application/x-www-form-urlencoded']],
  ['{} on start', start, '{}', JSON_TYPE],
  ['null on start', start, 'null', JSON_TYPE],
  ['a HostConfig on start', start, '{"Binds":["/:/h"]}', JSON_TYPE, 'body-not-allowed'],
  ['a folded HostConfig on start', start, '{"pidmode":"host"}', JSON_TYPE, 'body-not-allowed'],
  ['empty members on start', start, '{"Binds":null}', JSON_TYPE, 'body-not-allowed'],
  ['white space on start', start, '\n', JSON_TYPE, 'body-not-allowed'],
  ['{} without a type on start', start, '{}', [], 'body-not-allowed'],
  ['the query repeated on stop, as dockerode does', stop, '{"t":5}', JSON_TYPE],
  ['a list on stop', stop, '[1]', JSON_TYPE, 'body-not-allowed'],
  ['a string on stop', stop, '"x"', JSON_TYPE, 'body-not-allowed'],
  ['text on stop', stop, 'x', ['text/plain'], 'body-not-allowed'],
  ['malformed JSON on stop', stop, '{"t":5', JSON_TYPE, 'body-not-allowed'],
  ['a request in the body of stop', stop, 'POST /containers/create HTTP/1.1\r\n\r\n', [], 'body-not-allowed'],
  ['a form on rename', rename, 'name=taken', ['application/x-www-form-urlencoded'], 'content-type-unsupported'],
  [
    'a form under a second type',
    rename,
    'name=taken',
    ['text/plain', 'APPLICATION/X-WWW-FORM-URLENCODED'],
    'content-type-unsupported',
  ],
  ['multipart on rename', rename, '--b--', ['multipart/form-data; boundary=b'], 'content-type-unsupported'],
  ['JSON on a GET', inspect, '{}', JSON_TYPE, 'body-not-allowed'],
  ['JSON on a DELETE', remove, '{"force":true}', JSON_TYPE, 'body-not-allowed'],
  ['a form on a DELETE', remove, 'force=1', ['application/x-www-form-urlencoded'], 'content-type-unsupported'],
  ['70 KB of JSON on stop', stop, `{"t":"${'x'.repeat(70_000)}"}`, JSON_TYPE, 'body-not-allowed'],
];

for (const [name, target, text, type, code] of NEEDLESS) {
  test(`decodeBody() ${code === undefined ? 'drops' : 'refuses'} ${name}, where no body belongs`, () => {
    if (code === undefined) assert.equal(decode(target, text, type), undefined);
    else assert.throws(() => decode(target, text, type), refusal(code));
  });
}

test('decodeBody() leaves opaque bodies unread but not their type', () => {
  const build = targetOf({ id: 'ImageBuild', body: 'tar' });
  for (const type of [[], ['application/x-tar'], ['text/plain']]) assert.equal(decode(build, '', type), undefined);
  assert.throws(() => decode(build, '', ['multipart/form-data; boundary=b']), refusal('content-type-unsupported'));
  assert.throws(() => decode(build, '', ['application/x-www-form-urlencoded']), refusal('content-type-unsupported'));
});

test('bodyKindOf() and bodyKindOfTarget() tell bodies, uploads and imports apart', () => {
  assert.equal(bodyKindOf(create.operation), 'json');
  assert.equal(bodyKindOf(stop.operation), 'none');
  assert.equal(bodyKindOf(targetOf({ id: 'ImageLoad', body: 'tar' }).operation), 'opaque');
  assert.equal(bodyKindOfTarget(targetOf({ id: 'ImageCreate', query: { fromSrc: ['-'] } })), 'opaque');
  assert.equal(bodyKindOfTarget(targetOf({ id: 'ImageCreate', query: { fromSrc: ['http://x/a.tar'] } })), 'none');
  assert.equal(bodyKindOfTarget(targetOf({ id: 'ImageCreate', query: { fromImage: ['a'] } })), 'none');
});

test('decodeBody() takes limits from the caller and states them', () => {
  const run = (text: string, limits: object): unknown => decodeBody(create, JSON_TYPE, bytesOf(text), limits);
  assert.throws(() => run('{"Image":"abc"}', { maxBytes: 10 }), refusal('body-too-large', /at most 10/));
  assert.throws(
    () => run('{"Env":["a","b"]}', { maxElements: 1 }),
    refusal('body-too-large', /Env\[1\]: .*more than 1 elements/),
  );
  assert.throws(() => run('{"Labels":{"a":"1","b":"2"}}', { maxKeys: 1 }), refusal('body-too-large'));
  assert.throws(() => run('{"HostConfig":{"Binds":[]}}', { maxDepth: 1 }), refusal('body-malformed', /levels/));
  assert.ok(run(`{"z":${'['.repeat(9_999)}${']'.repeat(9_999)}}`, { maxDepth: 10_000 }));
});

const leftOutOf = (target: Target, text: string): unknown => {
  const leftOut: LeftOut[] = [];
  decodeBody(target, JSON_TYPE, bytesOf(text), {}, leftOut);
  return leftOut.map(({ at, trap }) => (trap === undefined ? at : `${at}: ${trap}`));
};

test('decodeBody() names what it leaves out, but not what says nothing', () => {
  assert.deepEqual(leftOutOf(exec, '{"containerId":"x","Container":"x","Odd":null,"odder":[],"Cmd":["id"]}'), [
    'containerId',
  ]);
  assert.deepEqual(leftOutOf(create, '{"Host-Config":{"Privileged":true},"Healthcheck":{"Odd":1}}'), [
    'Host-Config',
    'Healthcheck.Odd',
  ]);
  assert.deepEqual(leftOutOf(service, '{"TaskTemplate":{"RestartPolicy":{"Odd":1},"Future":1},"Odd":1}'), [
    'TaskTemplate.RestartPolicy.Odd',
    'Odd',
  ]);
  assert.equal(
    (leftOutOf(exec, JSON.stringify(Object.fromEntries(Array.from({ length: 90 }, (_, i) => [`x${i}`, 1])))) as [])
      .length,
    32,
  );
});

test('decodeBody() tells the fields of HostConfig at the top of a create body, which old engines read', () => {
  for (const [text, place] of [
    ['{"Privileged":true}', 'Privileged: belongs into HostConfig (HostConfig.Privileged)'],
    ['{"bind\u017f":["/:/h"]}', 'Binds: belongs into HostConfig (HostConfig.Binds)'],
    ['{"privileged":true,"HostConfig":null}', 'Privileged: belongs into HostConfig (HostConfig.Privileged)'],
    ['{"Memory":1,"HostConfig":{}}', 'Memory: belongs into HostConfig (HostConfig.Memory)'],
    ['{"Cpuset":"0"}', 'Cpuset: belongs into HostConfig (HostConfig.CpusetCpus)'],
    ['{"CapAdd":"ALL"}', 'CapAdd: belongs into HostConfig (HostConfig.CapAdd)'],
    ['{"Devices":[{"PathOnHost":"/dev/kmsg"}]}', 'Devices: belongs into HostConfig (HostConfig.Devices)'],
    ['{"Binds":[""]}', 'Binds: belongs into HostConfig (HostConfig.Binds)'],
  ] as const) {
    assert.deepEqual(leftOutOf(create, text), [place], text);
  }
  // However many unknown fields stand before it.
  const many = Object.fromEntries(Array.from({ length: 90 }, (_, i) => [`x${i}`, 1]));
  assert.ok(
    (leftOutOf(create, JSON.stringify({ ...many, Privileged: true })) as string[]).some((at) =>
      at.startsWith('Privileged'),
    ),
  );
});

test('decodeBody() takes every port there is, in each protocol', () => {
  const ports = (of: unknown) =>
    Object.fromEntries(['tcp', 'udp'].flatMap((p) => Array.from({ length: 65_535 }, (_, i) => [`${i + 1}/${p}`, of])));
  const bound = Object.fromEntries(Array.from({ length: 65_535 }, (_, i) => [`${i + 1}/tcp`, [{ HostPort: '1' }]]));
  const text = JSON.stringify({ Image: 'a', ExposedPorts: ports({}), HostConfig: { PortBindings: bound } });
  const body = decode(create, text) as { ExposedPorts: object; HostConfig: { PortBindings: object } };
  assert.equal(Object.keys(body.ExposedPorts).length, 2 * 65_535);
  assert.equal(Object.keys(body.HostConfig.PortBindings).length, 65_535);
  const tooMany = JSON.stringify({ Image: 'a', HostConfig: { PortBindings: ports([{ HostPort: '1' }]) } });
  assert.throws(() => decode(create, tooMany), { code: 'body-too-large', message: /more than 65536 keys/ });
});

test('decodeBody() gives the engine’s own words where clients look for them', () => {
  for (const [target, text, type, words] of [
    // As its reader tells them of each place where a body can break off or go wrong.
    [
      exec,
      '{invalid json',
      JSON_TYPE,
      /^invalid JSON: invalid character 'i' looking for beginning of object key string$/,
    ],
    [exec, '{,}', JSON_TYPE, /^invalid JSON: invalid character ',' looking for beginning of object key string$/],
    [exec, "{'a':1}", JSON_TYPE, /^invalid JSON: invalid character '\\'' looking for beginning of object key string$/],
    [
      exec,
      '{"Tty":true,}',
      JSON_TYPE,
      /^invalid JSON: invalid character '}' looking for beginning of object key string$/,
    ],
    [exec, '}', JSON_TYPE, /^invalid JSON: invalid character '}' looking for beginning of value$/],
    [exec, '{"Cmd":x}', JSON_TYPE, /^invalid JSON: invalid character 'x' looking for beginning of value \(Cmd\)$/],
    [
      exec,
      '{"Cmd":["a",]}',
      JSON_TYPE,
      /^invalid JSON: invalid character ']' looking for beginning of value \(Cmd\[1\]\)$/,
    ],
    [exec, '{"Cmd" ["a"]}', JSON_TYPE, /^invalid JSON: invalid character '\[' after object key/],
    [exec, '{"Tty":true "Cmd":[]}', JSON_TYPE, /^invalid JSON: invalid character '"' after object key:value pair/],
    [exec, '{"Tty":true]', JSON_TYPE, /^invalid JSON: invalid character ']' after object key:value pair/],
    [exec, '{"Cmd":["a" "b"]}', JSON_TYPE, /^invalid JSON: invalid character '"' after array element/],
    [exec, '{"User":"a\nb"}', JSON_TYPE, /^invalid JSON: invalid character '\\n' in string literal/],
    ...['{', '{"Cmd"', '{"Cmd":', '{"Cmd":[', '{"Cmd":["a"', '{"Cmd":["a', '{"Tty":true', '{"Tty":true,', '{"Us'].map(
      (text) => [exec, text, JSON_TYPE, /^invalid JSON: unexpected EOF/] as const,
    ),
    [exec, '{} trailing', JSON_TYPE, /^invalid JSON: unexpected content after JSON/],
    // JSON first, types afterwards.
    [exec, '[invalid', JSON_TYPE, /^invalid JSON: invalid character 'i' looking for beginning of value/],
    [
      exec,
      '{"Cmd":{"a":1},"Tty":x}',
      JSON_TYPE,
      /^invalid JSON: invalid character 'x' looking for beginning of value \(Tty\)$/,
    ],
    [exec, '{"Tty":"yes","Cmd":[', JSON_TYPE, /^invalid JSON: unexpected EOF/],
    [exec, '{"Tty":"yes","Cmd":[]}', JSON_TYPE, /^invalid JSON: Tty must be a boolean/],
    [create, '', JSON_TYPE, /^invalid JSON: got EOF while reading request body/],
    [create, '{}', ['text/plain'], /^unsupported Content-Type header \(text\/plain\): must be 'application\/json'/],
    [create, '{}', [], /^malformed Content-Type header \(\)/],
  ] as const) {
    assert.throws(
      () => decode(target, text, type),
      (error: unknown) => {
        assert.ok(error instanceof GatewayError && error.status === 400);
        assert.match(error.message, words);
        return true;
      },
    );
  }
});

const unknowns = (target: Target, text: string): unknown =>
  unknownFieldsOf({ operation: target.operation, body: decodeBody(target, JSON_TYPE, bytesOf(text)) });

test('unknownFieldsOf() names non-empty unknown fields with their struct, in order', () => {
  assert.deepEqual(
    unknowns(create, '{"HostConfig":{"Future":1,"Mounts":[{},{"NewThing":"x"}],"LogConfig":{"Else":[1]}}}'),
    [
      { path: 'HostConfig.Future', struct: 'HostConfig', secure: true },
      { path: 'HostConfig.Mounts[1].NewThing', struct: 'Mount', secure: true },
      { path: 'HostConfig.LogConfig.Else', struct: 'LogConfig', secure: true },
    ],
  );
  assert.deepEqual(unknowns(create, '{"NetworkingConfig":{"EndpointsConfig":{"n":{"Future":"x"}}}}'), [
    { path: 'NetworkingConfig.EndpointsConfig["n"].Future', struct: 'EndpointSettings', secure: true },
  ]);
  assert.deepEqual(unknowns(service, '{"TaskTemplate":{"PluginSpec":{"PluginPrivilege":[{"Name":"mount"}]}}}'), [
    { path: 'TaskTemplate.PluginSpec.PluginPrivilege', struct: 'PluginSpec', secure: true },
  ]);
});

test('unknownFieldsOf() finds nothing in known or empty fields', () => {
  assert.deepEqual(unknowns(create, '{"FutureTop":"","HostConfig":{"FutureField":null,"Other":{"a":[]}}}'), []);
  assert.deepEqual(unknowns(create, '{"Labels":{"Anything":"x"},"HostConfig":{"Sysctls":{"a":"b"}}}'), []);
  assert.deepEqual(unknowns(targetOf({ id: 'PluginSet', body: 'string[]' }), '["A=1"]'), []);
});

test('unknownFieldsOf() looks at the body it is given, not at an earlier form of it', () => {
  const body = decodeBody(create, JSON_TYPE, bytesOf('{"HostConfig":{"Future":1}}'));
  const call = { operation: create.operation, body };
  assert.equal(unknownFieldsOf(call).length, 1);
  assert.equal(unknownFieldsOf({ ...call, body: { HostConfig: { Future: 0 } } }).length, 0);
});

test('decodeBody() reads every port there is, and of other objects no more keys than clients send', () => {
  const object = (count: number, key: (i: number) => string, value: string): string =>
    `{${Array.from({ length: count }, (_, i) => `"${key(i)}":${value}`).join(',')}}`;
  const port = (i: number): string => `${(i % 65_535) + 1}/${['tcp', 'udp', 'sctp'][Math.floor(i / 65_535)]}`;
  const run = (text: string): unknown => decodeBody(create, JSON_TYPE, bytesOf(text));
  assert.ok(run(`{"ExposedPorts":${object(3 * 65_535, port, '{}')}}`));
  assert.ok(run(`{"HostConfig":{"PortBindings":${object(65_535, port, '[{"HostPort":"1"}]')}}}`));
  assert.ok(run(`{"Labels":${object(10_000, (i) => `k${i}`, '""')}}`));
  const labels = object(9_000, (i) => `k${i}`, '""');
  const mounts = (count: number): string =>
    `{"HostConfig":{"Mounts":[${Array.from({ length: count }, () => `{"VolumeOptions":{"Labels":${labels}}}`).join()}]}}`;
  assert.ok(run(mounts(5)));
  const many = refusal('body-too-large', /more than 50000 keys and elements/);
  assert.throws(() => run(mounts(6)), many);
  const list = `[${Array.from({ length: 9_000 }, () => '{}').join()}]`;
  assert.throws(() => run(`{"Unknown":[${Array.from({ length: 6 }, () => list).join()}]}`), many);
  assert.throws(() => run(`{"HostConfig":{"Sysctls":${labels},"Unknown":${mounts(5)}}}`), many);
  const tooMany = refusal('body-too-large', /the object has more than 10000 keys/);
  for (const text of [
    `{"Labels":${object(10_001, (i) => `k${i}`, '""')}}`,
    `{"Volumes":${object(10_001, (i) => `/k${i}`, '{}')}}`,
    `{"HostConfig":${object(10_001, (i) => `k${i}`, '1')}}`,
    `{"Unknown":{"x":[${object(10_001, (i) => `k${i}`, '1')}]}}`,
    object(10_001, (i) => `k${i}`, '1'),
  ]) {
    assert.throws(() => run(text), tooMany, text.slice(0, 40));
  }
});
