import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { CloudEvent } from 'cloudevents';
import { transformSync } from 'esbuild';
import ts from 'typescript';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openFleet } from '../../src/fleet/open-fleet.js';
import { Disposition, Record as WireRecord } from '../../src/gen/vmwarden/v1/record.js';
import {
  Capability,
  EventType,
  Initiator,
  Origin,
} from '../../src/gen/vmwarden/v1/system_event.js';
import { describePart } from '../support/parts.js';
import { waitFor } from '../support/wait-for.js';
import { entryFields, FLEET, JOURNAL } from './publisher.js';
import { useFleetRig } from './rig.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

describePart('redis-server', 'what the pages on the fleet show', () => {
  const rig = useFleetRig();
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'vmwarden-docs-'));
    mkdirSync(join(dir, 'node_modules'));
    const sdk = fileURLToPath(import.meta.resolve('cloudevents/package.json'));
    symlinkSync(join(sdk, '..'), join(dir, 'node_modules/cloudevents'));
    symlinkSync(root, join(dir, 'node_modules/vmwarden'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  it('is a controller whose types are right', () => {
    const file = join(dir, 'controller.mts');
    writeFileSync(file, sample('docs/fleet.md'));
    const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
    const program = ts.createProgram([file], {
      ...options,
      noUnusedLocals: false,
      typeRoots: [join(root, 'node_modules/@types')],
      paths: { 'vmwarden/fleet': [join(root, 'src/fleet/open-fleet.ts')] },
    });
    const source = program.getSourceFile(file);
    const problems = [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ].map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
    expect(problems).toEqual([]);
  });

  it('is a controller that runs as it stands, over the package as it is built', async () => {
    const file = join(dir, 'controller.mjs');
    writeFileSync(file, transformSync(sample('docs/fleet.md'), { loader: 'ts' }).code);
    const env = { ...process.env, VMWARDEN_BUS_URL: rig.redis.socket, VMWARDEN_BUS_FLEET: FLEET };
    const child: ChildProcess = spawn(process.execPath, [file], { env });
    const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
    let said = '';
    child.stdout?.on('data', (chunk) => {
      said += chunk;
    });
    child.stderr?.on('data', (chunk) => {
      said += chunk;
    });
    try {
      await rig.publisher.publish('alpha', 1, 1);
      await rig.publisher.add('alpha', entryFields('alpha', JOURNAL, 2, crash('web-1')));
      await rig.publisher.add('alpha', entryFields('alpha', JOURNAL, 4, crash('web-2')));
      await waitFor(`three lines in "${said}"`, () => said.split('\n').length > 3);
      expect(said).toBe(
        `web-1 on alpha crashed (record ${JOURNAL}:2)\n` +
          "alpha: records are missing { cause: 'hole', first: 3, last: 3 }\n" +
          `web-2 on alpha crashed (record ${JOURNAL}:4)\n`,
      );
      child.kill('SIGTERM');
      expect(await ended).toBe(0);
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
  });

  it('is a user of Redis who may do what the library does, and no more', async () => {
    const rules = /ACL user for consumers: `([^`]+)`/.exec(page('docs/fleet.md'))?.[1];
    const acl = ['ACL', 'SETUSER', 'reader', 'on', '>secret', ...(rules ?? '').split(' ')];
    await rig.redis.client.call(...(acl as [string, ...string[]]));
    await rig.publisher.publish('alpha', 1, 1);
    await rig.publisher.add('alpha', ['not', 'ours']);
    const login = { url: rig.redis.socket, fleet: FLEET, username: 'reader', password: 'secret' };
    const fleet = openFleet(login);
    try {
      const items = fleet.consume({ group: 'g', consumer: 'c' });
      const seen: string[] = [];
      for (let count = 0; count < 3; count += 1) {
        const { value } = await items.next();
        seen.push(value?.kind ?? 'end');
        if (value?.kind !== 'record') continue;
        if (value.attempt === 1) await value.retry('to see it again');
        else await value.ack();
      }
      expect(seen.sort()).toEqual(['parked', 'record', 'record']);
      await items.return?.();
      expect(await fleet.hosts()).toMatchObject([{ groups: [{ lag: 0 }] }]);
      expect(await fleet.audit()).toHaveLength(2);
      const follow = fleet.follow({ from: 'beginning', untilNewest: true });
      expect((await follow.next()).value).toMatchObject({ kind: 'record' });
    } finally {
      await fleet.close();
    }
    const [denied] = (await rig.redis.client.call('ACL', 'LOG')) as unknown[];
    expect(denied).toBeUndefined();
  });

  it('is a way to a CloudEvent', async () => {
    const file = join(dir, 'sdk.mjs');
    writeFileSync(
      file,
      transformSync(sample('docs/cloudevents-redis-streams.md'), { loader: 'ts' }).code,
    );
    const { toCloudEvent } = await import(pathToFileURL(file).href);
    const parts = entryFields('alpha', JOURNAL, 2, crash('web-1'));
    const fields: { [name: string]: Buffer } = {};
    for (let index = 0; index + 1 < parts.length; index += 2) {
      fields[String(parts[index])] = Buffer.from(parts[index + 1] ?? '');
    }
    const event = toCloudEvent(fields);
    expect(new CloudEvent(event.toJSON()).validate()).toBe(true);
    expect(WireRecord.decode(event.data).vmId).toBe('web-1');
  });
});

const page = (path: string): string => readFileSync(join(root, path), 'utf8');

/** The page's one block of TypeScript. */
const sample = (path: string): string => {
  const found = /```ts\n([\s\S]*?)```/.exec(page(path))?.[1];
  if (found === undefined) throw new Error(`${path} has no block of TypeScript`);
  return found;
};

const crash = (vmId: string): Buffer =>
  Buffer.from(
    WireRecord.encode({
      recordedAt: new Date(1_790_000_000_000),
      vmId,
      incidentId: '',
      monotonicUs: 1n,
      body: {
        $case: 'event',
        value: {
          event: {
            type: EventType.CRASH,
            rawType: 3,
            data: [],
            anomalies: [],
            capability: Capability.PRESENT,
            arch: 'x86_64',
            detail: undefined,
          },
          origin: Origin.KERNEL,
          initiator: Initiator.GUEST,
          disposition: Disposition.DECIDED,
          vmUid: '',
          bootId: '',
          bootEpoch: 1n,
          occurredAt: undefined,
          key: undefined,
          reconciled: false,
          count: 1,
          firstAt: undefined,
          fromDriver: false,
          ofEarlierBoot: false,
        },
      },
    }).finish(),
  );
