// Dockerfiles as the engine's parser reads them: what is asked about, and the file that is sent in place of the one that came.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Answer, type PlanOptions, planBuild } from '../../src/engine/dockerfile/plan.ts';
import { GatewayError } from '../../src/errors.ts';

/** A dollar sign, kept apart from template strings. */
const D = '$';

interface Planned {
  /** Images and addresses asked about, images with `docker.io/library/` and `:latest` left out. */
  readonly asked: readonly string[];
  readonly sent: string;
}

/** @param known environments and triggers of images by the name asked for */
function planned(
  text: string | Uint8Array,
  options: Partial<PlanOptions> = {},
  known: Readonly<Record<string, Partial<Answer>>> = {},
): Planned {
  const asked: string[] = [];
  const plan = planBuild(typeof text === 'string' ? Buffer.from(text) : text, { buildArgs: {}, ...options });
  for (let step = plan.next(); ; ) {
    if (step.done === true) return { asked, sent: step.value };
    const question = step.value;
    const name =
      question.kind === 'address'
        ? question.url
        : question.name.replace('docker.io/library/', '').replace(/:latest$/, '');
    asked.push(name);
    const write = question.kind === 'image' ? question.name : '';
    step = plan.next({ write, env: [], triggers: [], ...known[name] });
  }
}

const CASES: readonly [title: string, text: string, args: Record<string, string>, asked: readonly string[] | RegExp][] =
  [
    ['one stage', 'FROM busybox:test\nRUN true\n', {}, ['busybox:test']],
    ['lower case, platform and name', '# c\nfrom --platform=linux/amd64 busybox:test as b\n', {}, ['busybox:test']],
    ['scratch and a stage of its own', 'FROM scratch AS a\nFROM a\nFROM A AS b\n', {}, []],
    ['an argument with a default', `ARG BASE=bob:1\nFROM ${D}{BASE}\n`, {}, ['bob:1']],
    ['an argument given with the build', 'ARG BASE=busybox\nFROM $BASE\n', { BASE: 'bob:1' }, ['bob:1']],
    ['an argument given and not declared', 'FROM busybox$BASE\n', { BASE: 'bob' }, ['busybox']],
    ['a proxy variable, which needs no ARG', 'FROM $HTTP_PROXY\n', { HTTP_PROXY: 'bob:1' }, ['bob:1']],
    ['a fallback in braces', `FROM ${D}{NONE:-bob:1}\n`, {}, ['bob:1']],
    ['a fallback of a fallback', `ARG A=bob\nFROM ${D}{X:-${D}{Y:-$A}}:1\n`, {}, ['bob:1']],
    ['an alternative in braces', `ARG A=x\nFROM ${D}{A:+bob:1}\n`, {}, ['bob:1']],
    ['an argument in parts', `ARG T=1\nARG R="bob"\nFROM ${D}{R}:${D}T\n`, {}, ['bob:1']],
    ['an argument of an argument', `ARG A=bob\nARG B=${D}A:1\nFROM $B\n`, {}, ['bob:1']],
    [
      'a digit, which is a whole name',
      'ARG 1gwcbob=gwcalice\nFROM $1gwcbob/private:1\n',
      {},
      ['docker.io/gwcbob/private:1'],
    ],
    ['quotes', 'FROM "bob:1"\n', {}, ['bob:1']],
    ['quotes in parts', `FROM b'o'"b":1\n`, {}, ['bob:1']],
    ['escapes', 'FROM bo\\b:1\n', {}, ['bob:1']],
    ['a byte order mark', '\ufeffFROM bob:1\n', {}, ['bob:1']],
    ['line ends of Windows', 'FROM \\\r\n bob:1\r\nRUN true\r\n', {}, ['bob:1']],
    ['no line end', 'FROM bob:1', {}, ['bob:1']],
    [
      'COPY --from',
      'FROM busybox\nFROM busybox\nCOPY --chown=0 --from=bob:1 / /x\nCOPY --from=0 /a /b\n',
      {},
      ['busybox', 'busybox', 'bob:1'],
    ],
    [
      'COPY --from a stage by name',
      'FROM busybox AS One\nFROM busybox\nCOPY --from=ONE /a /b\n',
      {},
      ['busybox', 'busybox'],
    ],
    [
      'COPY --from its own stage, which the engine takes for an image',
      'FROM busybox AS bob\nCOPY --from=bob /a /b\n',
      {},
      ['busybox', 'bob'],
    ],
    ['COPY --from in quotes', 'FROM busybox\nCOPY "--from=bob:1" /a /b\n', {}, ['busybox']],
    ['COPY --from with its value in quotes', 'FROM busybox\nCOPY --from="bob:1" /a /b\n', {}, ['busybox', 'bob:1']],
    ['COPY --from on a continued line', 'FROM busybox\nCOPY\\\n --from=bob:1 /a /b\n', {}, ['busybox', 'bob:1']],
    ['a continued line', 'FROM \\\n  bob:1\n', {}, ['bob:1']],
    ['a continued line with a comment and an empty line in it', 'FROM \\\n# c\n\n   # d\nbob:1\n', {}, ['bob:1']],
    ['another escape character', '# escape=`\nFROM `\n bob:1\n', {}, ['bob:1']],
    ['a directive behind a comment, which is none', '# c\n# escape=`\nFROM \\\nbob:1\n', {}, ['bob:1']],
    ['a directive of another kind, which ends them', '# foo=bar\n# escape=`\nFROM \\\nbob:1\n', {}, ['bob:1']],
    ['a syntax directive, which the classic builder leaves', '# syntax=bob/frontend\nFROM busybox\n', {}, ['busybox']],
    ['a COPY that only mentions it', 'FROM busybox\nCOPY a.txt /x\nRUN echo --from=bob\n', {}, ['busybox']],
    ['a name cut by a continuation', 'FROM bo\\\nb:1\n', {}, ['bob:1']],
    [
      'what reads like an instruction in a continued line',
      'FROM busybox\nRUN a \\\n# c\nFROM bob:1\n',
      {},
      ['busybox'],
    ],
    ['two escapes, which continue nothing', 'FROM busybox\nRUN a \\\\\nFROM bob:1\n', {}, ['busybox', 'bob:1']],
    [
      'white space of other alphabets before an instruction',
      'FROM busybox\n\u0085FROM bob:1\n\u3000FROM bob:2\n',
      {},
      ['busybox', 'bob:1', 'bob:2'],
    ],
    ['ADD of an address', 'FROM busybox\nADD http://h.test/x /x\n', {}, ['busybox', 'http://h.test/x']],
    [
      'ADD of an address in JSON',
      'FROM busybox\nADD ["a", "https://h.test/x", "/x/"]\n',
      {},
      ['busybox', 'https://h.test/x'],
    ],
    ['ADD of an address in quotes', 'FROM busybox\nADD "http://h.test/x" /x\n', {}, ['busybox', 'http://h.test/x']],
    [
      'ADD of an address in an argument',
      `FROM busybox\nARG U=http://h.test\nADD ${D}U/x /x\n`,
      {},
      ['busybox', 'http://h.test/x'],
    ],
    [
      'ADD of an address in a variable',
      `FROM busybox\nENV U=http://h.test\nADD ${D}{U}/x /x\n`,
      {},
      ['busybox', 'http://h.test/x'],
    ],
    [
      'ADD of an address in an argument given',
      `FROM busybox\nARG U\nADD ${D}U /x\n`,
      { U: 'http://h.test/x' },
      ['busybox', 'http://h.test/x'],
    ],
    [
      'ADD of a file in an argument',
      `ARG JAR=target/*.jar\nFROM busybox\nARG JAR\nADD ${D}{JAR} app.jar\n`,
      {},
      ['busybox'],
    ],
    ['COPY of an address, which the engine refuses', 'FROM busybox\nCOPY http://h.test/x /x\n', {}, ['busybox']],
    ['a here-string and a shift in quotes', `FROM busybox\nRUN cat <<<x && echo "1 << 2" '3 <<4'\n`, {}, ['busybox']],
    [
      'a vertical tab',
      'FROM busybox\nRUN true \\\v\nCOPY\\\n --from=bob:1 /a /b\n',
      {},
      /line 2: it has a vertical tab/,
    ],
    ['a form feed', 'FROM busybox\n\fFROM bob:1\n', {}, /line 2: it has a form feed/],
    ['a carriage return in a line', 'FROM busybox\n# c\rFROM bob:1\n', {}, /line 2: it has a carriage return/],
    ['a NUL character', 'FROM busybox\nRUN a\0\n', {}, /line 2: it has a NUL/],
    [
      'a flag of RUN',
      'FROM busybox\nRUN --mount=type=bind,from=bob:1,target=/x ls\n',
      {},
      /line 2: RUN --mount needs BuildKit/,
    ],
    ['a here-document', 'FROM busybox\nRUN <<EOF\nFROM bob\nEOF\n', {}, /line 2: it has a here-document/],
    ['a here-document with a number', 'FROM busybox\nCOPY 3<<-E /x\nE\n', {}, /here-document/],
    ['a here-document of a trigger', 'FROM busybox\nONBUILD RUN cat <<E\nE\n', {}, /here-document/],
    ['a here-document where quotes may be none', `FROM busybox\nRUN echo "\\" <<E\nE\n`, {}, /here-document/],
    ['an argument with an unread substitution', `FROM ${D}{A#x}\n`, {}, /line 1: the substitution .* is not read/],
    ['a substitution that is cut off', `FROM ${D}{A\n`, {}, /not read/],
    ['an argument without a value that needs one', `FROM ${D}{A:?no}\n`, {}, /A has no value/],
    ['a variable of another alphabet', 'FROM $\u00e9\n', {}, /line 1: .* not read/],
    ['a trigger', 'FROM busybox\nONBUILD COPY --from=bob:1 / /\n', {}, /line 2: an ONBUILD trigger that takes/],
    ['a --from with an argument', 'FROM busybox\nCOPY --from=$X / /\n', {}, /takes no variables/],
    ['a stage that is to come', 'FROM busybox\nCOPY --from=0 /a /b\n', {}, /no stage before this one/],
    [
      'a number the engine reads and we do not',
      'FROM busybox\nFROM busybox\nCOPY --from=+0 /a /b\n',
      {},
      /is no image/,
    ],
    ['an escape in a flag', 'FROM busybox\nCOPY --fr\\om=bob:1 /a /b\n', {}, /line 2: a flag has a \\/],
    [
      'a letter in a flag whose bytes are blanks',
      'FROM busybox\nCOPY --chown=\u0160 --from=bob:1 /a /b\n',
      {},
      /a flag has a character/,
    ],
    ['an unknown flag', 'FROM busybox\nCOPY --form=bob:1 /a /b\n', {}, /COPY has no flag --form/],
    ['a flag twice', 'FROM busybox\nCOPY --from=busybox --from=bob:1 /a /b\n', {}, /twice/],
    ['an end of flags', 'FROM busybox\nCOPY -- --from=bob:1 /a /b\n', {}, /is no flag/],
    [
      'a flag behind white space of other alphabets',
      'FROM busybox\nCOPY \u00a0--from=bob:1 /a /b\n',
      {},
      /stands where a flag could/,
    ],
    ['an unknown instruction', 'FROM busybox\nFRОM bob:1\n', {}, /line 2: .* is no instruction/],
    ['an instruction with a Kelvin sign', 'FROM busybox\n\u212aOPY a b\n', {}, /is no instruction/],
    ['FROM with more words', 'FROM bob:1 x\n', {}, /neither an image nor/],
    ['AS with a long s', 'FROM busybox a\u017f bob\n', {}, /character that is not read/],
    ['FROM of nothing', 'FROM $NONE\n', {}, /names no image/],
    ['FROM of what is no image', 'FROM Bob\n', {}, /"Bob" is no image/],
    ['a stage of the same name', 'FROM busybox AS a\nFROM busybox AS A\n', {}, /named a already/],
    ['no FROM', 'ARG A\n', {}, /has no FROM/],
    ['an instruction before FROM', 'RUN true\nFROM busybox\n', {}, /line 1: RUN stands before/],
    [
      'two directives of a kind',
      '# escape=`\n# escape=\\\nFROM busybox\n',
      {},
      /line 2: the directive escape stands there twice/,
    ],
    ['another escape character yet', '# escape=^\nFROM busybox\n', {}, /neither/],
    [
      'an escape directive behind check, unknown to old engines',
      '# check=skip=all\n# escape=`\nFROM busybox\n',
      {},
      /behind check/,
    ],
    ['an escape before odd white space', 'FROM busybox\nRUN a \\\u00a0\nFROM bob:1\n', {}, /line 2: it ends in \\/],
    [
      'ADD of what a variable makes two words',
      `FROM busybox\nENV U="a http://h.test/x"\nADD ${D}U /x\n`,
      {},
      /line 3: the source/,
    ],
    ['an argument with an odd name', 'ARG "A"=bob\nFROM $A\n', {}, /no name of an argument/],
  ];

describe('planBuild()', () => {
  for (const [title, text, buildArgs, expected] of CASES) {
    it(`${expected instanceof RegExp ? 'refuses' : 'reads'} ${title}`, () => {
      if (expected instanceof RegExp) {
        assert.throws(() => planned(text, { buildArgs }), { code: 'archive-unreadable', message: expected });
      } else {
        const { asked, sent } = planned(text, { buildArgs });
        assert.deepEqual(asked, expected);
        // What is sent reads the same, needs no arguments and is written the same again.
        const again = planned(sent);
        assert.deepEqual(again.asked, asked);
        assert.equal(again.sent, sent);
      }
    });
  }
  it('planBuild() refuses what is not UTF-8, with its line', () => {
    const text = Buffer.concat([Buffer.from('FROM busybox\n# '), Buffer.from([0xe9]), Buffer.from('\n')]);
    assert.throws(() => planned(text), { message: /line 2: it is not UTF-8/ });
  });

  it('sends each instruction on one line, with images by their whole name and neither comments nor directives', () => {
    const text =
      '# syntax=docker/dockerfile:1\n# c\nARG T=1\nFROM  busybox:$T  as  One\n\n  RUN a && \\\n    # c\n    b\\\\c "d  e"\nFROM one\n' +
      'copy --from=One --chown=1:1   a b /c/\nADD ["x y", "/z"]\ncmd ["sh"]\n';
    assert.equal(
      planned(text).sent,
      'ARG T=1\nFROM docker.io/library/busybox:1 AS one\nRUN a &&     b\\\\c "d  e"\nFROM one\n' +
        'copy --from=one --chown=1:1 a b /c/\nADD ["x y", "/z"]\ncmd ["sh"]\n',
    );
  });
  it('planBuild() keeps another escape character', () => {
    const { sent } = planned('#escape=`\nFROM busybox\nRUN dir C:\\ `\n  && x\n');
    assert.equal(sent, '# escape=`\nFROM docker.io/library/busybox:latest\nRUN dir C:\\   && x\n');
  });
  it('planBuild() writes the answered name of an image, and labels before the first step of a stage with a base', () => {
    const labels = { 'dockgate.tenant': 'blue' };
    const id = `sha256:${'a'.repeat(64)}`;
    const { sent } = planned(
      'FROM aaaaaaaaaaaa AS x\nFROM x\nFROM scratch\nCOPY --from=0 a b\n',
      { labels },
      { 'sha256:aaaaaaaaaaaa': { write: id } },
    );
    assert.equal(
      sent,
      `FROM ${id} AS x\nLABEL dockgate.tenant="blue"\nFROM x\nFROM scratch\nLABEL dockgate.tenant="blue"\nCOPY --from=0 a b\n`,
    );
  });
  it('planBuild() refuses a line that is longer than the engine’s parser takes, and takes the longest', () => {
    const limit = 65_535;
    for (const [before, end] of [
      ['RUN ', '\n'],
      ['RUN ', '\r\n'],
      ['RUN ', ''],
      ['# ', '\n'],
      ['RUN a \\\n# c', '\n'],
    ] as const) {
      const last = before.slice(before.lastIndexOf('\n') + 1);
      const line = (bytes: number) =>
        `FROM busybox\n${before}${'x'.repeat(bytes - last.length - (end === '\r\n' ? 1 : 0))}${end}`;
      planned(line(limit));
      assert.throws(() => planned(line(limit + 1)), { message: /line \d: it is longer than 65535 bytes/ });
    }
    const wide = (count: number) => `FROM busybox\nRUN ${'\u00e9'.repeat(count)}\n`;
    planned(wide(32_765));
    assert.throws(() => planned(wide(32_766)), { message: /line 2: it is longer/ });
    const marked = (count: number) => `\ufeff# ${'x'.repeat(count)}\nFROM busybox\n`;
    planned(marked(limit - 5));
    assert.throws(() => planned(marked(limit - 4)), { message: /line 1: it is longer/ });
  });

  it('bounds the labels of an image, with their variables filled in', () => {
    const labels = (text: string, maxLabelBytes = 1000) => planned(`FROM busybox\n${text}`, { maxLabelBytes });
    const half = 'x'.repeat(490);
    labels(`LABEL a=${half}\nLABEL b=${half}\n`);
    const tooMany = { code: 'body-too-large', message: /the labels of one image may have 1000 bytes together/ };
    for (const text of [
      `LABEL a=${half}\nLABEL b=${half}xxxxxxxxxxxxxxxxxxxxx\n`,
      `LABEL a=${half} b=${half} c=${half}\n`,
      `ARG V=${half}\nLABEL a=${D}V${D}V${D}V\n`,
      `ENV V=${half}\nLABEL a="${D}{V}${D}{V:-x}${D}{V}"\n`,
      `ENV V=${half}\nLABEL a=${D}{V#y}${D}{V#y}${D}{V#y}\n`,
      `LABEL ${half}=${half} ${half}=${half}\n`,
    ])
      assert.throws(() => labels(text), tooMany, text.slice(0, 40));
    assert.throws(
      () =>
        planned(`FROM busybox AS a\nLABEL a=${half}\nFROM a\nLABEL b=${half}xxxxxxxxxxxxxxxxxxxxx\n`, {
          maxLabelBytes: 1000,
        }),
      tooMany,
    );
    // Stages of their own have labels of their own.
    planned(`FROM busybox AS a\nLABEL a=${half}xxxxxxxxxxxxxxxxxxxxx\nFROM busybox\nLABEL b=${half}\n`, {
      maxLabelBytes: 1000,
    });
    assert.throws(() => labels(`ENV V=x\nLABEL a=${D}{V//x/y}\n`), { message: /of a label is not read; write it out/ });
  });

  it('breaks an instruction that is longer than a line of the engine’s may be', () => {
    const word = (i: number) => `word${i} #${i} \\${i}`;
    const lineOf = (k: number) => Array.from({ length: 1000 }, (_, i) => word(1000 * k + i)).join(' ');
    const pieces = Array.from({ length: 20 }, (_, k) => lineOf(k));
    const words = pieces.join(' ');
    // No line of the file itself is longer than the engine's parser takes.
    const { sent } = planned(`FROM busybox\nRUN echo ${pieces.join(' \\\n')} \u00e9\n`);
    const lines = sent.split('\n');
    assert.ok(lines.length > 5);
    assert.ok(lines.every((line) => Buffer.byteLength(line) < 65_535));
    assert.equal(sent.slice(sent.indexOf('RUN')).replaceAll('\\\n', ''), `RUN echo ${words} \u00e9\n`);
    assert.equal(planned(sent).sent, sent);
  });

  describe('what would take long, or much memory', () => {
    const blanks = ' '.repeat(1024 * 1024);
    for (const [title, text] of [
      ['blanks inside a line', `FROM busybox\nRUN a${blanks}b\n`],
      ['blanks inside a line that is continued', `FROM busybox\nRUN a${blanks}b \\\nc\n`],
      ['blanks inside a directive', `# syntax = a${blanks}b\nFROM busybox\n`],
      ['blanks before what is no directive', `#${blanks}${blanks}a b\nFROM busybox\n`],
      ['digits before a here-document that is none', `FROM busybox\nRUN "${'1'.repeat(500_000)}"<<<x\n`],
      ['many here-documents inside quotes', `FROM busybox\nRUN "${' <<a'.repeat(200_000)}"\n`],
    ] as const) {
      it(`judges ${title} in a moment`, () => {
        const begin = performance.now();
        try {
          planned(text);
        } catch (error) {
          // A run of blanks cannot be broken into lines every engine reads.
          assert.match(String(error), /longer than 65535 bytes/);
        }
        assert.ok(performance.now() - begin < 5000);
      });
    }
    const doubled = Array.from({ length: 40 }, () => `ENV A=${D}A${D}A`).join('\n');
    const nested = `${D}{A:-`.repeat(10_000);
    const variables = Array.from({ length: 60 }, (_, line) =>
      ['ENV', ...Array.from({ length: 1000 }, (_, i) => `V${line}_${i}=x`)].join(' '),
    ).join('\n');
    for (const [title, text, message] of [
      ['stages of many variables', `FROM busybox AS a\n${variables}\n${'FROM a\n'.repeat(40)}`, /2000 variables/],
      ['arguments before the first stage', `${variables.replaceAll('ENV', 'ARG')}\nFROM a\n`, /2000 variables/],
      ['an instruction of many words', `FROM busybox\nLABEL${' a=b'.repeat(3000)}\n`, /2000 words/],
      ['many stages', 'FROM busybox\n'.repeat(201), /more than 200 stages/],
      ['a word that doubles', `FROM busybox\nENV A=xxxx\n${doubled}\n`, /longer than 65536/],
      ['substitutions inside each other', `FROM busybox\nENV B=${nested}\n`, /inside each other/],
    ] as const) {
      it(`refuses ${title}`, () => assert.throws(() => planned(text), message));
    }
    it('reads what is below', () => {
      const few = Array.from({ length: 1900 }, (_, i) => `V${i}=x`).join(' ');
      planned(`FROM busybox AS a\nENV ${few}\n${'FROM a\n'.repeat(199)}`);
    });
  });

  describe('labels', () => {
    const refuseLabel = (name: string, at: string): void => {
      if (name.toLowerCase().startsWith('dockgate.')) throw new GatewayError('label-reserved', `${at}: ${name}`);
    };
    for (const [title, text] of [
      ['plain', 'LABEL dockgate.tenant=bob'],
      ['as the second', 'LABEL a=b dockgate.tenant=bob'],
      ['without an equals sign', 'LABEL dockgate.tenant bob'],
      ['in quotes', 'LABEL "dockgate.tenant"=bob'],
      ['in quotes in part', `LABEL dock'gate.'tenant=bob`],
      ['escaped', 'LABEL dock\\gate.tenant=bob'],
      ['continued', 'LAB\\\nEL dockgate.te\\\nnant=bob'],
      ['in another case', 'label Dockgate.Tenant=bob'],
      ['in a variable', `ENV A=dockgate\nLABEL ${D}A.tenant=bob`],
      ['in an argument', `ARG A=gate.\nLABEL dock${D}{A}tenant=bob`],
      ['in a trigger', 'ONBUILD LABEL dockgate.tenant=bob'],
    ] as const) {
      it(`refuses a reserved one ${title}`, () => {
        assert.throws(() => planned(`FROM busybox\n${text}\n`, { refuseLabel }), { code: 'label-reserved' });
      });
    }
    it('refuses a name with a variable in a trigger', () => {
      assert.throws(() => planned('FROM busybox\nONBUILD LABEL $A=bob\n', { refuseLabel }), {
        message: /has a variable/,
      });
    });
    it('writes names out and leaves values', () => {
      const { sent } = planned(`FROM busybox\nARG A=x\nLABEL "a.b"="c d" ${D}A=${D}A e='dockgate.tenant=f'\n`, {
        refuseLabel,
      });
      assert.match(sent, /\nLABEL a\.b="c d" x=\$A e='dockgate\.tenant=f'\n/);
    });
  });

  describe('triggers of an image', () => {
    const withTrigger = (trigger: string, text = 'FROM base\n') =>
      planned(text, {}, { base: { triggers: [trigger], env: ['U=http://h.test'] } });
    for (const [trigger, asked] of [
      ['COPY . /app', []],
      ['RUN make -j4', []],
      ['copy --from=bob:1 / /x', ['bob:1']],
      ['COPY --from=base / /x', ['base']],
      ['ADD http://h.test/x /x', ['http://h.test/x']],
    ] as const) {
      it(`judges ${trigger}`, () => assert.deepEqual(withTrigger(trigger).asked, ['base', ...asked]));
    }
    it('take files from stages before', () => {
      assert.deepEqual(withTrigger('COPY --from=one / /x', 'FROM busybox AS one\nFROM base\n').asked, [
        'busybox',
        'base',
      ]);
    });
    for (const trigger of [
      'COPY \\\n--from=bob:1 / /x',
      'RUN a\nCOPY --from=bob:1 / /x',
      'ADD $U/x /x',
      'ONBUILD RUN x',
      'FROM bob',
      ' COPY a b',
      'RUN <<E',
      'COPY --from=aaaa a b',
      '# escape=`',
      'COPY a b \\',
    ]) {
      it(`refuses ${JSON.stringify(trigger)}`, () => {
        const id = { 'sha256:aaaa': { write: `sha256:${'a'.repeat(64)}` } };
        const known = { base: { triggers: [trigger], env: ['U=http://h.test'] }, ...id };
        assert.throws(() => planned('FROM base\n', {}, known), { message: /line 1: trigger 1 .* cannot be judged/ });
      });
    }
    it('triggers of a stage run where another begins on it', () => {
      const text = 'FROM busybox AS a\nENV U=http://h.test\nONBUILD ADD x $U\nONBUILD ADD http://h.test/y /y\nFROM a\n';
      assert.deepEqual(planned(text).asked, ['busybox', 'http://h.test/y']);
    });
  });
});
