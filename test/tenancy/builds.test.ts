// Builds of tenants: what a Dockerfile takes from must be the tenant's or shared, in every way to write it, and tags of others stay.
// What is built is what was judged, and no step of another tenant's build is taken from the cache, nor put there.
import assert from 'node:assert/strict';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { admin, until } from '../support/admin.ts';
import { must } from '../support/api.ts';
import { IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-build-${IS_DENO ? 'deno' : 'node'}`;
const context = (dockerfile: string, name = 'Dockerfile') =>
  Buffer.concat([tarEntry('file', 'content'), tarEntry(name, dockerfile), Buffer.alloc(1024)]);

describe('builds of tenants', { skip: skipWithoutEngine }, () => {
  let two: TwoTenants;
  before(async () => {
    two = await startTwoTenants('baseline');
    await must(two.alice, 'POST', `/images/${IMAGE}/tag?repo=${PREFIX}-alice&tag=1`);
  });
  after(async () => {
    if (two === undefined) return;
    await removeAll(two.engine, PREFIX);
    await two.gateway.remove();
  });
  const build = (who: 'alice' | 'bob', tag: string, body: Buffer, query = '') =>
    two[who]('POST', `/build?t=${PREFIX}-${tag}${query}`, { body });

  it('a build on a shared image gives the tenant its tag, with labels', async () => {
    const built = await build('bob', 'bob:1', context(`FROM ${IMAGE}\nCOPY file /file\n`));
    assert.match(built.text, /Successfully built/);
    const image = await must<{ Config: { Labels: Record<string, string> } }>(
      two.bob,
      'GET',
      `/images/${PREFIX}-bob:1/json`,
    );
    assert.equal(image.Config.Labels['dockgate.tenant'], 'blue');
    assert.equal((await two.alice('GET', `/images/${PREFIX}-bob:1/json`)).status, 404);
  });
  it('a build on an image of one\u2019s own, compressed, from another file', async () => {
    const body = gzipSync(context(`ARG B\nFROM $B\nLABEL a=b\n`, 'sub/Build'));
    const args = encodeURIComponent(JSON.stringify({ B: `${PREFIX}-bob:1` }));
    const built = await build('bob', 'bob:2', body, `&dockerfile=sub/Build&buildargs=${args}`);
    assert.match(built.text, /Successfully built/, built.text);
  });
  for (const [title, dockerfile] of [
    ['FROM', `FROM ${PREFIX}-alice:1\n`],
    ['FROM by an argument', `ARG A=${PREFIX}-alice\nFROM $A:1\n`],
    ['a later stage', `FROM ${IMAGE}\nFROM ${PREFIX}-alice:1 AS x\n`],
    ['COPY --from', `FROM ${IMAGE}\nCOPY --from=${PREFIX}-alice:1 /bin/sh /sh\n`],
  ] as const) {
    it(`${title} of another tenant's image gives nothing`, async () => {
      const built = await build('bob', 'stolen:1', context(dockerfile));
      assert.ok(built.status >= 400, `${built.status} ${built.text}`);
      assert.match(built.text, /pull access denied/);
      assert.equal((await two.engine('GET', `/images/${PREFIX}-stolen:1/json`)).status, 404);
    });
  }
  it('another tenant\u2019s tag is not built over', async () => {
    const { Id } = await must<{ Id: string }>(two.alice, 'GET', `/images/${PREFIX}-alice:1/json`);
    const built = await build('bob', 'bob:3', context(`FROM ${IMAGE}\nLABEL evil=1\n`), `&t=${PREFIX}-alice:1`);
    assert.equal(built.status, 409, built.text);
    assert.equal((await must<{ Id: string }>(two.alice, 'GET', `/images/${PREFIX}-alice:1/json`)).Id, Id);
  });
  it('a context the engine would fetch is refused, whatever policy says', async () => {
    const built = await two.bob(
      'POST',
      `/build?t=${PREFIX}-bob:5&remote=${encodeURIComponent('http://127.0.0.1:1/x')}`,
    );
    assert.equal(built.status, 403, built.text);
  });
  it('an archive that cannot be read for certain is refused', async () => {
    const built = await build('bob', 'bob:4', Buffer.from('no archive '.repeat(200)));
    assert.equal(built.status, 400);
    assert.match(built.text, /cannot be judged/);
  });

  describe('what is built is what was judged', () => {
    const SECRET = `secret of ${PREFIX}`;
    const stolen = `${PREFIX}-alice/private:1`;
    before(async () => {
      const body = context(`FROM ${IMAGE}\nRUN echo ${SECRET} > /secret.txt\n`);
      const built = await two.alice('POST', `/build?t=${stolen}&networkmode=none`, { body });
      assert.match(built.text, /Successfully built/, built.text);
    });
    const end = Buffer.alloc(1024);
    const evil = `FROM ${stolen}\nRUN cat /secret.txt\n`;
    const harmless = tarEntry('Dockerfile', `FROM ${IMAGE}\n`);
    const own = (dockerfile: string) => [tarEntry('Dockerfile', dockerfile)];
    for (const [title, entries, query] of [
      ['a variable that begins with a digit', own(`ARG 1${PREFIX}=x\nFROM $1${stolen}\nRUN cat /secret.txt\n`)],
      ['white space only Go knows', own(`FROM ${IMAGE}\n\u0085${evil}`)],
      ['white space only Go knows, of three bytes', own(`FROM ${IMAGE}\n\u2003${evil}`)],
      [
        'a vertical tab behind an escape',
        own(`FROM ${IMAGE}\nRUN true \\\v\nCOPY\\\n --from=${stolen} / /s\nRUN cat /s/secret.txt\n`),
      ],
      ['two escapes at a line end', own(`FROM ${IMAGE}\nRUN true \\\\\n${evil}`)],
      ['a name in quotes', own(evil.replace(stolen, `"${stolen}"`))],
      ['a fallback', own(evil.replace(stolen, `\${NONE:-${stolen}}`))],
      ['an alternative', own(`ARG A=1\n${evil.replace(stolen, `\${A:+${stolen}}`)}`)],
      ['a byte order mark', own(`\ufeff${evil}`)],
      ['another escape character', own(`# escape=\`\nFROM \`\n${stolen}\nRUN cat /secret.txt\n`)],
      [
        'a stage named like the image',
        own(`FROM ${IMAGE} AS ${PREFIX}-alice\nCOPY --from=${PREFIX}-alice /secret.txt /\n`),
      ],
      ['COPY --from with quotes', own(`FROM ${IMAGE}\nCOPY --from="${stolen}" /secret.txt /\nRUN cat /secret.txt\n`)],
      [
        'COPY --from on another line',
        own(`FROM ${IMAGE}\nCOPY \\\n# c\n--from=${stolen} /secret.txt /\nRUN cat /secret.txt\n`),
      ],
      ['a folder that is a link', [harmless, tarEntry('d', '', '2', '.'), tarEntry('d/Dockerfile', evil)]],
      [
        'two extended headers',
        [
          harmless,
          tarEntry('x', '21 path=harmless.txt\n', 'x'),
          tarEntry('x', '11 mtime=1\n', 'x'),
          tarEntry('Dockerfile', evil),
        ],
      ],
      ['a second Dockerfile', [harmless, tarEntry('Dockerfile', evil)]],
      ['a second Dockerfile with dots in its name', [harmless, tarEntry('./x/.././Dockerfile', evil)]],
      ['a second Dockerfile with a leading slash', [harmless, tarEntry('/Dockerfile', evil)]],
      ['a Dockerfile in lower case', [tarEntry('dockerfile', evil)]],
      ['a Dockerfile that is a link', [tarEntry('x', evil), tarEntry('Dockerfile', '', '2', 'x')]],
      ['a Dockerfile that is a hard link', [tarEntry('x', evil), tarEntry('Dockerfile', '', '1', 'x')]],
      ['a Dockerfile by a path with dots', [harmless, tarEntry('x', evil)], '&dockerfile=d/../x'],
      ['a Dockerfile in a compressed context', own(evil), '&gzip'],
      [
        'a trigger written by another stage',
        own(`FROM ${IMAGE} AS a\nONBUILD COPY --from=${stolen} /secret.txt /\nFROM a\nRUN cat /secret.txt\n`),
      ],
    ] as readonly (readonly [string, readonly Buffer[], string?])[]) {
      it(`${title} gives nothing of another tenant's image`, async () => {
        const archive = Buffer.concat([...entries, end]);
        const body = query === '&gzip' ? gzipSync(archive) : archive;
        const tag = `${PREFIX}-thief:1`;
        const built = await two.bob(
          'POST',
          `/build?t=${tag}&nocache=1&networkmode=none${query?.replace('&gzip', '') ?? ''}`,
          { body },
        );
        assert.ok(!built.text.includes(SECRET), built.text);
        assert.ok(built.status >= 400, `${built.status} ${built.text}`);
        assert.equal((await two.engine('GET', `/images/${tag}/json`)).status, 404);
      });
    }
    it('a trigger put into an image by commit is judged where it runs', async () => {
      const name = `${PREFIX}-trigger`;
      await must(two.bob, 'POST', `/containers/create?name=${name}`, { Image: IMAGE, Cmd: ['true'] });
      for (const [i, changes, expected] of [
        [1, `ONBUILD COPY --from=${stolen} /secret.txt /`, /pull access denied/],
        [2, `ONBUILD COPY \\\n--from=${stolen} /secret.txt /`, /pull access denied/],
        [3, 'ONBUILD ADD http://127.0.0.1:1/x /', /engine's own machine/],
        [4, 'ONBUILD RUN true', /triggers, whose steps|Successfully built/],
      ] as const) {
        const query = `container=${name}&repo=${name}&tag=${i}&changes=${encodeURIComponent(changes)}`;
        await must(two.bob, 'POST', `/commit?${query}`, {});
        const built = await two.bob('POST', `/build?networkmode=none&nocache=1`, {
          body: context(`FROM ${name}:${i}\nRUN cat /secret.txt || true\n`),
        });
        assert.match(built.text, expected);
        assert.ok(!built.text.includes(SECRET));
      }
    });
    it('changes of a commit are sent as they were read, and labels are judged in every spelling', async () => {
      const container = `${PREFIX}-changes`;
      await must(two.bob, 'POST', `/containers/create?name=${container}`, { Image: IMAGE, Cmd: ['true'] });
      const commit = (...changes: string[]) =>
        two.bob(
          'POST',
          `/commit?container=${container}&repo=${container}&tag=1${changes.map((one) => `&changes=${encodeURIComponent(one)}`).join('')}`,
          { body: {} },
        );
      for (const changes of [
        ['CMD true\nLABEL dockgate.tenant=red'],
        ['LAB\\\nEL dockgate.tenant=red'],
        ['LABEL a=b \\', '"dockgate.tenant"=red'],
        ['\u00a0LABEL dockgate.tenant red'],
        [`LABEL do"ckgate.ten"'ant'=red`],
        ['ONBUILD LABEL dockgate.tenant=red'],
        ['LABEL $X=red'],
        ['RUN true'],
      ]) {
        const { status, text } = await commit(...changes);
        assert.ok(status === 403 || status === 400, `${changes.join()}: ${status} ${text}`);
      }
      const { status, text } = await commit('CMD ["a", "b c"]', 'ENV X="1 2" Y=3', 'LABEL \\', 'k=v # w=x');
      assert.equal(status, 400, text);
      assert.equal((await commit('CMD ["a", "b c"]', 'ENV X="1 2" Y=3', 'LABEL \\', 'k=v', 'EXPOSE 80')).status, 201);
      const { Config } = await must<{ Config: { Cmd: string[]; Env: string[]; Labels: Record<string, string> } }>(
        two.bob,
        'GET',
        `/images/${container}:1/json`,
      );
      assert.deepEqual(Config.Cmd, ['a', 'b c']);
      assert.ok(Config.Env.includes('X=1 2') && Config.Env.includes('Y=3'));
      assert.equal(Config.Labels.k, 'v');
      assert.equal(Config.Labels['dockgate.tenant'], 'blue');
    });
    for (const [title, line] of [
      ['of the engine’s own machine', 'ADD http://127.0.0.1:1/x /'],
      ['of loopback by name', 'ADD http://localhost:1/x /'],
      ['of loopback by another number', 'ADD http://2130706433:1/x /'],
      ['of loopback in short', 'ADD http://127.1:1/x /'],
      ['of loopback over IPv6', 'ADD http://[::1]:1/x /'],
      ['of loopback within IPv6', 'ADD http://[::ffff:127.0.0.1]:1/x /'],
      ['of nowhere, which is loopback', 'ADD http://0.0.0.0:1/x /'],
      ['of the link', 'ADD http://169.254.169.254/latest/meta-data /'],
      ['in a variable', 'ENV U=http://127.0.0.1:1\nADD $U/x /'],
      ['with user information', 'ADD http://a@127.0.0.1:1/x /'],
      ['of any other host, which no rule lists', 'ADD http://192.0.2.1/x /'],
    ] as const) {
      it(`ADD of an address ${title} is refused`, async () => {
        const built = await build('bob', 'add:1', context(`FROM ${IMAGE}\n${line}\n`));
        assert.equal(built.status, 403, built.text);
        assert.match(built.text, /Dockerfile line [23] /);
      });
    }
    for (const [title, entries, query] of [
      [
        'stages, arguments, comments and a context of folders and links',
        [
          tarEntry('./src/', '', '5'),
          tarEntry('./src/a b', 'x'),
          tarEntry('./src/link', '', '2', 'a b'),
          tarEntry('./src/hard', '', '1', 'src/a b'),
          tarEntry(
            'Dockerfile',
            `# syntax=docker/dockerfile:1\nARG TAG=test\nFROM busybox:\${TAG} AS Build\n# c\nARG V=1\nENV W=\${V}2\nCOPY ["src/a b", "/a b"]\nADD src /src\nRUN test "$W" = 12 && \\\n  # comment\n\n  test -h /src/link\nFROM busybox:test\nCOPY --from=build --chown=1:1 "/a b" /\nCOPY --from=0 /src /src\nCMD ["true"]\n`.replace(
              '"/a b" /',
              '/src/hard /',
            ),
          ),
        ],
      ],
      [
        'a context of git archive',
        [
          tarEntry('pax_global_header', '52 comment=0123456789012345678901234567890123456789\n', 'g'),
          ...own(`FROM ${IMAGE}\n`),
        ],
      ],
      ['scratch', [tarEntry('file', 'x'), ...own('FROM scratch\nCOPY file /\n')]],
      ['line ends of Windows', own(`FROM ${IMAGE}\r\nRUN true && \\\r\n true\r\n`)],
      [
        'a long instruction',
        own(`FROM ${IMAGE}\nRUN true ${Array.from({ length: 12_000 }, (_, i) => `\\\n word${i}`).join('')}\n`),
      ],
      [
        'a file from outside the context, as docker-py sends it',
        [tarEntry('.dockerfile.0a1b', `FROM ${IMAGE}\n`)],
        '&dockerfile=.dockerfile.0a1b',
      ],
    ] as readonly (readonly [string, readonly Buffer[], string?])[]) {
      it(`still builds ${title}`, async () => {
        const built = await build(
          'bob',
          'neighbour:1',
          Buffer.concat([...entries, end]),
          `&networkmode=none${query ?? ''}`,
        );
        assert.match(built.text, /Successfully built/, built.text.slice(-2000));
      });
    }
    it('still builds a context compressed with zstd, and says what is not read', async () => {
      const built = await build('bob', 'neighbour:1', zstdCompressSync(context(`FROM ${IMAGE}\n`)));
      assert.match(built.text, /Successfully built/, built.text);
      const xz = Buffer.from('fd377a585a000004', 'hex');
      assert.match((await build('bob', 'neighbour:1', xz)).text, /compressed with xz/);
    });
  });

  describe('the build cache', () => {
    const key = `RUN head -c 16 /dev/urandom | md5sum | tee /key # ${PREFIX} ${Date.now()}`;
    const body = context(`FROM ${IMAGE}\n${key}\n`);
    const keyOf = async (who: 'alice' | 'bob', query = ''): Promise<string> => {
      const built = await build(who, `cache-${who}:1`, body, `&networkmode=none${query}`);
      assert.match(built.text, /Successfully built/, built.text);
      const cat = `${PREFIX}-cat-${who}`;
      await two.engine('DELETE', `/containers/${cat}?force=1`);
      await must(two[who], 'POST', `/containers/create?name=${cat}`, {
        ...{ Image: `${PREFIX}-cache-${who}:1`, Cmd: ['cat', '/key'], HostConfig: { NetworkMode: 'none' } },
      });
      await must(two[who], 'POST', `/containers/${cat}/start`);
      await must(two[who], 'POST', `/containers/${cat}/wait`);
      return (await two[who]('GET', `/containers/${cat}/logs?stdout=1`)).text.slice(8);
    };
    it('the build cache gives a tenant its own steps again, and none of another’s', async () => {
      const first = await keyOf('alice');
      assert.equal(await keyOf('alice'), first);
      assert.notEqual(await keyOf('bob'), first);
    });
    it('the build cache takes nothing that another tenant built under other hosts', async () => {
      const step = `RUN grep planted /etc/hosts > /planted || true # ${PREFIX} ${Date.now()}`;
      const planted = context(`FROM ${IMAGE}\n${step}\nRUN cat /planted\n`);
      const by = (who: 'alice' | 'bob', query: string) =>
        build(who, `hosts-${who}:1`, planted, `&networkmode=none${query}`);
      assert.match((await by('alice', '&extrahosts=planted:10.0.0.1')).text, /10\.0\.0\.1\\tplanted/);
      assert.doesNotMatch((await by('bob', '')).text, /planted\\n/);
    });
    it('the build cache asks for a build without it where triggers run before a tenant’s label', async () => {
      const name = `${PREFIX}-shared:1`;
      await must(
        two.operator,
        'POST',
        `/build?t=${name}&networkmode=none`,
        context(`FROM ${IMAGE}\nONBUILD RUN true\n`),
      );
      const child = context(`FROM ${name}\n`);
      assert.match((await build('bob', 'child:1', child)).text, /has triggers, .*docker build --no-cache/);
      assert.match((await build('bob', 'child:1', child, '&nocache=1&networkmode=none')).text, /Successfully built/);
    });
  });

  describe('what a build leaves behind', () => {
    interface Listed {
      readonly Id: string;
      readonly Labels: Record<string, string>;
      readonly Command: string;
    }
    const containers = async (who: 'alice' | 'bob'): Promise<string[]> =>
      (await must<Listed[]>(two[who], 'GET', '/containers/json?all=1')).map(({ Id }) => Id);
    const unowned = async (): Promise<string[]> => {
      const labelled = encodeURIComponent(JSON.stringify({ label: ['dockgate.tenant=blue'] }));
      const there = await must<Listed[]>(two.engine, 'GET', `/containers/json?all=1&filters=${labelled}`);
      const own = await containers('bob');
      // Other tests have a tenant blue of their own on the engine: the steps here name this file.
      return there.filter(({ Id, Command }) => Command.includes(PREFIX) && !own.includes(Id)).map(({ Id }) => Id);
    };
    after(() => two.bob('POST', '/containers/prune'));
    const left = async (query: string, step = `RUN echo ${PREFIX} ${Date.now()} && exit 3`): Promise<string[]> => {
      const before = new Set(await containers('bob'));
      await two.bob('POST', `/build?networkmode=none&${query}`, { body: context(`FROM ${IMAGE}\n${step}\n`) });
      return (await containers('bob')).filter((id) => !before.has(id));
    };
    for (const [title, query, step] of [
      ['failed', `t=${PREFIX}-left:1`, undefined],
      ['failed quietly', `t=${PREFIX}-left:1&q=1`, undefined],
      ['keeps its containers', `t=${PREFIX}-left:1&rm=0`, `RUN echo ${PREFIX} ${Date.now()}`],
      ['keeps its containers quietly', `t=${PREFIX}-left:1&rm=0&q=1`, `RUN echo quiet ${PREFIX} ${Date.now()}`],
    ] as const) {
      it(`a container of one that ${title} is its maker's alone, counts and is removed by a prune`, async () => {
        const ids = await left(query, step);
        assert.ok(ids.length >= 1);
        for (const id of ids) {
          assert.ok(!(await containers('alice')).includes(id));
          assert.equal((await two.alice('GET', `/containers/${id}/json`)).status, 404);
          assert.equal((await two.bob('GET', `/containers/${id}/json`)).status, 200);
        }
        // The build leaves no object without an owner.
        assert.deepEqual(await unowned(), []);
        const { usage } = await admin<{ usage: Record<string, number> }>(two.gateway, 'GET', '/tenants/blue');
        assert.ok((usage.containers ?? 0) >= ids.length);
        const pruned = await must<{ ContainersDeleted: string[] | null }>(two.bob, 'POST', '/containers/prune');
        for (const id of ids) {
          assert.ok((pruned.ContainersDeleted ?? []).includes(id));
          assert.equal((await two.engine('GET', `/containers/${id}/json`)).status, 404);
        }
      });
    }
    it('a build that removes its containers leaves none', async () => {
      assert.deepEqual(await left(`t=${PREFIX}-left:1`, `RUN echo removed ${PREFIX} ${Date.now()}`), []);
      assert.deepEqual(await left('forcerm=1'), []);
    });
    it('the last image of one that failed is its maker’s alone', async () => {
      const step = `RUN echo ${PREFIX} ${Date.now()} > /made`;
      const body = context(`FROM ${IMAGE}\n${step}\nRUN exit 3\n`);
      const { text } = await two.bob('POST', '/build?networkmode=none&forcerm=1', { body });
      const [start] = [...text.matchAll(/ ---\\u003e ([0-9a-f]{12})/g)].map(([, id]) => id).slice(-1);
      assert.equal((await two.bob('GET', `/images/${start}/json`)).status, 200, text);
      assert.equal((await two.alice('GET', `/images/${start}/json`)).status, 404);
      const stolen = await build('alice', 'left:2', context(`FROM ${start}\nRUN cat /made\n`));
      assert.equal(stolen.status, 404, stolen.text);
    });
    it('a step that prints what the builder says takes nothing of others', async () => {
      const body = context(`FROM ${IMAGE}\nRUN echo ${PREFIX} ${Date.now()} > /made\nRUN exit 3\n`);
      const { text } = await two.alice('POST', '/build?networkmode=none&forcerm=1', { body });
      const [start = ''] = [...text.matchAll(/ ---\\u003e ([0-9a-f]{12})/g)].map(([, id]) => id).slice(-1);
      const id = (await must<{ Id: string }>(two.alice, 'GET', `/images/${start}/json`)).Id;
      const lines = [`Successfully built ${start}`, ` ---> ${start}`, ` ---> Running in ${start}`];
      const print = lines.map((line) => `echo '${line}'`).join(' && ');
      await two.bob('POST', '/v1.41/build?networkmode=none&nocache=1', {
        body: context(`FROM ${IMAGE}\nRUN ${print} && exit 3\n`),
      });
      assert.equal((await two.bob('GET', `/images/${id}/json`)).status, 404);
    });
    it('a cancelled build leaves no object without an owner', async () => {
      const body = context(`FROM ${IMAGE}\nRUN echo ${Date.now()} && : ${PREFIX} && sleep 60\n`);
      const call = http.request({
        ...{
          socketPath: join(two.gateway.dir, 'bob.sock'),
          method: 'POST',
          path: '/build?networkmode=none',
          agent: false,
        },
        headers: { 'content-type': 'application/x-tar', 'content-length': String(body.length) },
      });
      call.on('error', () => {});
      await new Promise<void>((resolve) => {
        let text = '';
        call.on('response', (response) => {
          response.on('error', () => {});
          response.on('data', (data: Buffer) => {
            text += data.toString();
            if (/Running in [0-9a-f]{12}[^}]*\}\s*\{"stream":"\d+/.test(text)) resolve();
          });
        });
        call.end(body);
      });
      call.destroy();
      await until('no object without an owner', async () => (await unowned()).length === 0);
    });
    it('no label of a build plants what it leaves into an adoption', async () => {
      const label = `${PREFIX}.plant=1`;
      const [key = '', value = ''] = label.split('=');
      const ids = await left('rm=0', `LABEL ${key}=${value}\nRUN echo ${PREFIX} ${Date.now()}`);
      assert.ok(ids.length >= 1);
      const adopted = await two.gateway.dockgate('tenant', 'adopt', '--tenant', 'red', '--label', label);
      assert.notEqual(adopted.code, 0);
      assert.match(adopted.stderr, /belongs to tenant blue/);
      assert.ok(!(await containers('alice')).some((id) => ids.includes(id)));
    });
  });
});
