import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CATALOG, type MetricSpec } from '../../src/telemetry/metrics/catalog.js';
import { crashReport } from '../support/engine-bench.js';
import { DUMP_BYTES, startMetricsApp } from '../support/metrics-app.js';

const POLICY = readFileSync(new URL('../data/crash-policy.yaml', import.meta.url), 'utf8');

test('a scrape has what the catalog says, and nothing else', async () => {
  const { driver, until } = await startMetricsApp(POLICY);
  driver.panic();
  const scraped = await until('the guest is restarted', (now) => {
    return now.value('vmwarden_event_to_recovered_seconds_count', { delayed: 'false' }) === 1;
  });
  const catalog = Object.entries<MetricSpec>(CATALOG);
  expect([...scraped.families.keys()].sort()).toEqual(catalog.map(([name]) => name).sort());
  for (const [name, { type, help, labels }] of catalog) {
    const family = scraped.families.get(name);
    expect(family).toMatchObject({ type, help });
    for (const sample of family?.samples ?? []) {
      const said = Object.keys(sample.labels).filter((label) => label !== 'le');
      expect(said.sort(), name).toEqual([...labels].sort());
    }
  }
});

test('one death is counted from the event to the proof of recovery', async () => {
  const { driver, until } = await startMetricsApp(POLICY);
  await until(
    'contact',
    (now) => now.value('vmwarden_vm_contacts', { contact: 'connected' }) === 1,
  );
  driver.panic();
  const now = await until('it is over, and its dump is counted', (seen) => {
    const over = seen.value('vmwarden_event_to_recovered_seconds_count', { delayed: 'false' });
    return over === 1 && seen.value('vmwarden_dump_bytes_total') === DUMP_BYTES;
  });
  const died = { type: 'CRASH', origin: 'QMP', disposition: 'decided' };
  expect(now.value('vmwarden_events_total', died)).toBe(1);
  expect(now.value('vmwarden_decisions_total', { rule: 'crashed', answer: 'act' })).toBe(1);
  expect(now.value('vmwarden_decisions_total', { rule: 'crashed', answer: 'exhausted' })).toBe(0);
  for (const verb of ['dump', 'restart']) {
    expect(now.value('vmwarden_steps_total', { verb, outcome: 'applied' })).toBe(1);
    expect(now.value('vmwarden_steps_total', { verb, outcome: 'failed' })).toBe(0);
    expect(now.value('vmwarden_step_duration_seconds_count', { verb })).toBe(1);
  }
  expect(now.value('vmwarden_event_to_decision_seconds_count')).toBeGreaterThanOrEqual(1);
  expect(now.value('vmwarden_event_to_act_seconds_count', { delayed: 'false' })).toBe(1);
  const acted = now.value('vmwarden_event_to_act_seconds_sum', { delayed: 'false' }) ?? 0;
  const recovered = now.value('vmwarden_event_to_recovered_seconds_sum', { delayed: 'false' });
  expect(acted).toBeGreaterThan(0);
  expect(recovered).toBeGreaterThan(acted);
  expect(now.value('vmwarden_vms', { phase: 'well' })).toBe(1);
  expect(now.value('vmwarden_budget_attempts_left_min', { budget: 'crash' })).toBe(2);
  expect(now.value('vmwarden_vm_budget_attempts_left', { vm: 'web-1' })).toBe(2);
  expect(now.value('vmwarden_journal_commit_seconds_count', { kind: 'ingest' })).toBeGreaterThan(0);
  expect(now.value('vmwarden_journal_records')).toBeGreaterThan(5);
  expect(now.value('vmwarden_ready')).toBe(1);
  expect(now.value('process_resident_memory_bytes')).toBeGreaterThan(1e7);
});

test('a budget that runs out, a hold and its release are seen', async () => {
  const held = POLICY.replace('attempts: 3', 'attempts: 1').replace('[powerOff, hold]', '[hold]');
  const { app, driver, until } = await startMetricsApp(held);
  driver.panic();
  await until('restarted', (now) => now.value('vmwarden_budget_exhausted_vms') === 1);
  await until('at rest', (now) => now.value('vmwarden_incidents_open') === 0);
  driver.panic();
  const now = await until('held', (seen) => seen.value('vmwarden_vms_held') === 1);
  expect(now.value('vmwarden_vms', { phase: 'held' })).toBe(1);
  expect(now.value('vmwarden_decisions_total', { rule: 'crashed', answer: 'exhausted' })).toBe(1);
  expect(now.value('vmwarden_budget_attempts_left_min', { budget: 'crash' })).toBe(0);
  // Released as it is found: a guest that is down still would be answered, and held again.
  driver.state = 'running';
  await app.engine.operators.release('web-1', {
    actor: 'alice',
    reason: 'looked at',
    requestId: '',
  });
  const after = await until('released', (seen) => seen.value('vmwarden_vms_held') === 0);
  expect(after.value('vmwarden_operator_acts_total', { verb: 'release' })).toBe(1);
});

test('a step that waits says until when', async () => {
  const { driver, until } = await startMetricsApp(POLICY);
  driver.panic();
  await until('restarted once', (now) => {
    return now.value('vmwarden_event_to_recovered_seconds_count', { delayed: 'false' }) === 1;
  });
  const before = Date.now() / 1000;
  driver.panic();
  const now = await until('waiting', (seen) => seen.value('vmwarden_steps_waiting') === 1);
  const due = now.value('vmwarden_next_attempt_timestamp_seconds') ?? 0;
  expect(due).toBeGreaterThan(before + 5);
  expect(due).toBeLessThan(before + 60);
  expect(now.value('vmwarden_vms', { phase: 'waiting' })).toBe(1);
  expect(now.value('vmwarden_decisions_total', { rule: 'crashed', answer: 'delayed' })).toBe(1);
});

test('the policy in force, its reload and its rules are those of the file', async () => {
  const { app, policyFile, until } = await startMetricsApp(POLICY);
  await app.engine.report(crashReport({ vm: 'seen-only' }));
  const rules = (now: { readonly samples: readonly { readonly labels: object }[] }) =>
    new Set(now.samples.flatMap(({ labels }) => ('rule' in labels ? [labels.rule] : [])));
  const first = await until('it is counted', (now) => rules(now).has('crashed'));
  expect(first.value('vmwarden_policy_info', { name: 'crash', mode: 'enforce' })).toBe(1);
  writeFileSync(policyFile, 'apiVersion: nonsense');
  await until('broken', (now) => now.value('vmwarden_policy_last_reload_failed') === 1);
  writeFileSync(policyFile, POLICY.replace('name: crashed', 'name: "died \\"again\\""'));
  const next = await until(
    'mended',
    (now) => now.value('vmwarden_policy_last_reload_failed') === 0,
  );
  expect([...rules(next)]).toEqual(['died "again"']);
  expect(next.families.get('vmwarden_policy_info')?.samples).toHaveLength(1);
});

test('gRPC calls are counted by method and status; whoever makes methods up makes no series', async () => {
  const { app, until } = await startMetricsApp(POLICY);
  const { Client, credentials } = await import('@grpc/grpc-js');
  const client = new Client(app.server.address, credentials.createInsecure());
  const call = (path: string) =>
    new Promise((resolve) => {
      const asIs = (bytes: Buffer): Buffer => bytes;
      client.makeUnaryRequest(path, asIs, asIs, Buffer.alloc(0), resolve);
    });
  for (let at = 0; at < 20; at += 1) await call(`/no.such.Service/Method${at}`);
  await call('/vmwarden.v1.VmService/ListVms');
  await call('/vmwarden.v1.VmService/ReleaseVm');
  client.close();
  const name = 'vmwarden_grpc_requests_total';
  const now = await until('both are counted', (seen) => {
    return seen.value(name, { method: 'vmwarden.v1.VmService/ReleaseVm' }) === 1;
  });
  expect(now.families.get(name)?.samples).toEqual([
    { name, labels: { method: 'vmwarden.v1.VmService/ListVms', code: 'OK' }, value: 1 },
    {
      name,
      labels: { method: 'vmwarden.v1.VmService/ReleaseVm', code: 'INVALID_ARGUMENT' },
      value: 1,
    },
  ]);
});

test('10,000 VMs make no more series than one does, but for those that the configuration bounds', async () => {
  const always = POLICY.replace('delay: { base: 10s', 'delay: { base: 0s');
  const { app, scrape, until } = await startMetricsApp(always, {
    metrics: { host: '127.0.0.1', port: 0, vmSeries: 25 },
  });
  await app.engine.report(crashReport({ vm: 'guest-0' }));
  const one = await until('the first', (now) => now.value('vmwarden_events_folded_total') === 0);
  for (let from = 1; from < 9_999; from += 500) {
    const reports = Array.from({ length: Math.min(500, 9_999 - from) }, (_, at) =>
      app.engine.report(crashReport({ vm: `guest-${from + at}`, bootId: `boot-${from + at}` })),
    );
    await Promise.all(reports);
  }
  const vms = 10_000;
  const many = await until('all are counted', (now) => {
    const died = { type: 'CRASH', origin: 'KERNEL', disposition: 'decided' };
    return now.value('vmwarden_events_total', died) === vms - 1;
  });
  const counted = many.samples.filter(({ name }) => name === 'vmwarden_vms');
  expect(counted.reduce((sum, { value }) => sum + value, 0)).toBe(vms);
  const perVm = many.samples.filter(({ labels }) => 'vm' in labels);
  expect(perVm.length).toBeLessThanOrEqual(25);
  const rest = new Set(many.samples.filter(({ labels }) => !('vm' in labels)).map(seriesOf));
  const settled = new Set((await scrape()).samples.map(seriesOf));
  expect(rest.size).toBeLessThan(one.samples.length + 150);
  expect(settled.size).toBeLessThan(1_000);
  const values = new Set(many.samples.flatMap(({ labels }) => Object.values(labels)));
  expect([...values].filter((value) => /^(guest|boot)-/.test(value)).length).toBeLessThan(26);
}, 120_000);

const seriesOf = ({ name, labels }: { readonly name: string; readonly labels: object }): string =>
  JSON.stringify([name, labels]);
