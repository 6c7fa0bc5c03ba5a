import { CloudEvent, HTTP } from 'cloudevents';
import { expect, it } from 'vitest';
import type { Argument } from '../../src/bus/redis/connection.js';
import { partitionOf, recordsKey } from '../../src/bus/redis/keys.js';
import { parseEntry } from '../../src/fleet/entry.js';
import { readStream } from '../../src/fleet/read-stream.js';
import { Record } from '../../src/gen/vmwarden/v1/record.js';
import { describePart } from '../support/parts.js';
import { encodeRecord, FLEET, JOURNAL, PARTITIONS } from './publisher.js';
import { useFleetRig } from './rig.js';

const HOST = 'rack 7/böse';

describePart('redis-server', 'an entry of the stream', () => {
  const rig = useFleetRig();

  const entry = async () => {
    await rig.publisher.publish(HOST, 7, 7, { vmId: 'web-1' });
    const key = recordsKey(FLEET, partitionOf(HOST, PARTITIONS));
    const { client } = rig.redis;
    const call = async (command: string, args: readonly Argument[]) =>
      client.callBuffer(command, [...args]);
    const [found] = await readStream({ call }, key, '0-0', 1);
    if (found === undefined) throw new Error('no entry');
    const pairs: [string, Buffer][] = [];
    for (let index = 0; index + 1 < found.fields.length; index += 2) {
      const [name, value] = [found.fields[index], found.fields[index + 1]];
      if (name !== undefined && value !== undefined) pairs.push([name.toString(), value]);
    }
    return { found, pairs };
  };

  it('is a CloudEvent in binary mode, by the word of the official package', async () => {
    const { pairs } = await entry();
    const attributes = pairs.filter(([name]) => name !== 'data' && name !== 'datacontenttype');
    const headers = Object.fromEntries([
      ...attributes.map(([name, value]) => [`ce-${name}`, value.toString()]),
      ['content-type', pairs.find(([name]) => name === 'datacontenttype')?.[1].toString() ?? ''],
    ]);
    const data = pairs.find(([name]) => name === 'data')?.[1];
    const event = HTTP.toEvent<Buffer>({ headers, body: data });
    if (!(event instanceof CloudEvent)) throw new Error('not one event');
    expect(event.validate()).toBe(true);
    expect(event).toMatchObject({
      specversion: '1.0',
      id: `${JOURNAL}:7`,
      source: `/vmwarden/${encodeURIComponent(HOST)}`,
      type: 'dev.vmwarden.record.v1',
      datacontenttype: 'application/protobuf',
    });
    expect(Record.decode(event.data ?? Buffer.alloc(0)).vmId).toBe('web-1');
  });

  it('says whose record it is, whatever letters a host has', async () => {
    const { found } = await entry();
    // A slash can't be in a host's name; the library parks such an entry in place of mixing hosts up.
    expect(parseEntry(found.fields)).toMatchObject({ ok: false, identity: null });
    const fields = found.fields.map((part) =>
      part.toString() === `/vmwarden/${encodeURIComponent(HOST)}`
        ? Buffer.from('/vmwarden/rack%207')
        : part,
    );
    expect(parseEntry(fields)).toMatchObject({
      ok: true,
      identity: { host: 'rack 7', journalId: JOURNAL, sequence: 7 },
    });
  });

  it.each([
    ['specversion', '0.3', /^specversion is "0.3"; expected 1.0$/],
    ['type', 'other', /^type is "other"/],
    ['source', '/vmwarden/%ff', /^source and id are "\/vmwarden\/%ff" and/],
    ['source', 'https://example.org', /^source and id/],
    ['id', `${JOURNAL}:0`, /^source and id/],
    ['id', `${JOURNAL}:99999999999999999`, /^source and id/],
    ['id', '7', /^source and id/],
  ])('is refused with a reason when %s is %s', (name, value, problem) => {
    const fields: { [name: string]: string } = {
      specversion: '1.0',
      id: `${JOURNAL}:7`,
      source: '/vmwarden/h',
      type: 'dev.vmwarden.record.v1',
      [name]: value,
    };
    const parts = Object.entries(fields).flatMap(([field, text]) => [
      Buffer.from(field),
      Buffer.from(text),
    ]);
    const data = [Buffer.from('data'), encodeRecord('vm')];
    expect(parseEntry([...parts, ...data])).toMatchObject({
      ok: false,
      problem: expect.stringMatching(problem),
    });
  });
});
