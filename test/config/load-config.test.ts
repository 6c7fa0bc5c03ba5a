import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ConfigSources, loadConfig } from '../../src/config/load-config.js';
import { formatConfigProblem } from '../../src/config/problem.js';
import { SETTINGS } from '../../src/config/settings.js';

const load = (text: string | null, changes: Partial<ConfigSources> = {}) =>
  loadConfig({
    configFile: text === null ? undefined : 'conf/vmwarden.yaml',
    flags: {},
    environment: {},
    workingDirectory: '/run/here',
    hostName: 'host-1',
    readFile: (path) => {
      if (text !== null && path === '/run/here/conf/vmwarden.yaml') return text;
      throw Object.assign(new Error(path), { code: 'ENOENT' });
    },
    ...changes,
  });

const problems = (text: string | null, changes: Partial<ConfigSources> = {}): string[] => {
  const loaded = load(text, changes);
  return loaded.ok ? [] : loaded.problems.map(formatConfigProblem);
};

const config = (text: string | null, changes: Partial<ConfigSources> = {}) => {
  const loaded = load(text, changes);
  if (!loaded.ok) throw new Error(loaded.problems.map(formatConfigProblem).join('\n'));
  return loaded.config;
};

describe('loadConfig', () => {
  test('works without a file', () => {
    expect(load(null)).toEqual({
      ok: true,
      file: null,
      warnings: [],
      config: {
        host: 'host-1',
        dataDir: '/run/here/.vmwarden',
        socket: '/run/here/.vmwarden/vmwarden.sock',
        policyFile: null,
        log: { level: 'info', format: 'auto' },
        journal: {
          maxAgeMs: 30 * 86_400_000,
          maxBytes: 1024 ** 3,
          hardMaxBytes: 4 * 1024 ** 3,
          reserveBytes: 64 * 1024 ** 2,
        },
        bus: { kind: 'local' },
        dumps: { dir: '/run/here/.vmwarden/dumps' },
        metrics: null,
        vms: [],
        discover: [],
        stopTimeoutMs: 10_000,
      },
    });
  });

  test.each(['', '# nothing\n', '{}', 'log:\npolicy:\n'])(
    'of the file %j nothing is needed',
    (text) => {
      expect(config(text).log.level).toBe('info');
    },
  );

  test('takes everything a file can say; its paths start at the file', () => {
    const text = `
host: rack-7
dataDir: data
listen: { socket: /run/vmw.sock }
policy: { file: policy.yaml }
log: { level: debug, format: json }
journal:
  retention: { age: 7d, size: 512MiB }
  hardLimit: 2GiB
  reserve: 128MiB
bus: { kind: local }
dumps: { dir: /var/dumps }
metrics: { host: 0.0.0.0, port: 9464, vmSeries: 0 }
stopTimeout: 30s
vms:
  - id: web-1
    uid: u-1
    labels: { tier: gold, app.kubernetes.io/name: web }
    driver: { kind: qemu, socket: ../web-1.qmp }
    takeOver: true
    release: { panic: pause, shutdown: pause, watchdog: none, reboot: shutdown }
  - id: web-2
    driver: { kind: observe }
`;
    expect(config(text)).toEqual({
      host: 'rack-7',
      dataDir: '/run/here/conf/data',
      socket: '/run/vmw.sock',
      policyFile: '/run/here/conf/policy.yaml',
      log: { level: 'debug', format: 'json' },
      journal: {
        maxAgeMs: 7 * 86_400_000,
        maxBytes: 512 * 1024 ** 2,
        hardMaxBytes: 2 * 1024 ** 3,
        reserveBytes: 128 * 1024 ** 2,
      },
      bus: { kind: 'local' },
      dumps: { dir: '/var/dumps' },
      metrics: { host: '0.0.0.0', port: 9464, vmSeries: 0 },
      discover: [],
      stopTimeoutMs: 30_000,
      vms: [
        {
          id: 'web-1',
          uid: 'u-1',
          labels: { tier: 'gold', 'app.kubernetes.io/name': 'web' },
          driver: { kind: 'qemu', socket: '/run/here/web-1.qmp' },
          takeOver: true,
          release: { panic: 'pause', shutdown: 'pause', watchdog: 'none', reboot: 'shutdown' },
        },
        {
          id: 'web-2',
          uid: '',
          labels: {},
          driver: { kind: 'observe' },
          takeOver: false,
          release: { panic: 'shutdown', shutdown: 'poweroff', watchdog: 'reset', reboot: 'reset' },
        },
      ],
    });
  });

  test('the environment goes over the file, and flags over both', () => {
    const environment = { VMWARDEN_LOG_LEVEL: 'warn', VMWARDEN_DATA_DIR: 'env', VMWARDEN_HOST: '' };
    const loaded = config('log: { level: error }\ndataDir: file\nhost: from-file', {
      environment,
      flags: { 'data-dir': 'flag' },
    });
    expect(loaded.log.level).toBe('warn');
    expect(loaded.dataDir).toBe('/run/here/flag');
    expect(loaded.host).toBe('from-file');
  });

  test('every setting can be said by environment and by flag', () => {
    const values: Record<string, string> = {
      host: 'x',
      'log.level': 'debug',
      'log.format': 'json',
      'journal.retention.age': '1d',
      'journal.retention.size': '2MiB',
      'journal.hardLimit': '5GiB',
      'journal.reserve': '1MiB',
      'bus.kind': 'redis',
      'bus.url': 'redis://redis.example',
      'bus.username': 'vmwarden',
      'bus.fleet': 'rack-12',
      'metrics.host': '::1',
      'metrics.port': '9464',
      stopTimeout: '1s',
    };
    const inPlaceOfUrl = ['bus.sentinel.nodes', 'bus.sentinel.name', 'bus.cluster.nodes'];
    const said = (name: 'environment' | 'flag') =>
      Object.fromEntries(
        SETTINGS.map((setting) => [setting[name], setting.path.join('.')] as const)
          .filter(([, path]) => !inPlaceOfUrl.includes(path))
          .map(([key, path]) => [key, values[path] ?? 'some/path']),
      );
    const byEnvironment = config(null, { environment: said('environment') });
    expect(config(null, { flags: said('flag') })).toEqual(byEnvironment);
    expect(byEnvironment).toMatchObject({
      host: 'x',
      dataDir: '/run/here/some/path',
      socket: '/run/here/some/path',
      policyFile: '/run/here/some/path',
      dumps: { dir: '/run/here/some/path' },
      journal: { maxAgeMs: 86_400_000, maxBytes: 2 * 1024 ** 2, reserveBytes: 1024 ** 2 },
      bus: {
        kind: 'redis',
        at: { kind: 'single', host: 'redis.example', port: 6379 },
        username: 'vmwarden',
        passwordFile: '/run/here/some/path',
        tls: { ca: '/run/here/some/path', cert: '/run/here/some/path', key: '/run/here/some/path' },
        fleet: 'rack-12',
      },
      metrics: { host: '::1', port: 9464, vmSeries: 100 },
      stopTimeoutMs: 1000,
    });
    const sentinels = {
      VMWARDEN_BUS_SENTINELS: 'a:26379, [fd00::1]:26379',
      VMWARDEN_BUS_MASTER: 'main',
    };
    const addresses = [
      { host: 'a', port: 26379 },
      { host: 'fd00::1', port: 26379 },
    ];
    expect(config(null, { environment: sentinels }).bus).toMatchObject({
      at: { kind: 'sentinel', name: 'main', addresses },
    });
    expect(config(null, { flags: { 'bus-cluster': 'a:1' } }).bus).toMatchObject({
      at: { kind: 'cluster', addresses: [{ host: 'a', port: 1 }] },
    });
  });

  test('a Redis bus has defaults, and paths that start at the file', () => {
    const text = 'bus: { kind: redis, url: "rediss://[fd00::1]:7000", passwordFile: pw }';
    expect(config(text).bus).toEqual({
      kind: 'redis',
      fleet: 'default',
      at: { kind: 'single', host: 'fd00::1', port: 7000 },
      tls: { ca: null, cert: null, key: null, serverName: null },
      username: null,
      passwordFile: '/run/here/conf/pw',
      partitions: 64,
      minReplicas: 0,
      trim: { maxAgeMs: 7 * 86_400_000, maxLength: 100_000 },
    });
    expect(config('bus: { url: /run/redis.sock, trim: { age: 1h, length: 5000 } }').bus).toEqual(
      expect.objectContaining({
        kind: 'redis',
        at: { kind: 'socket', path: '/run/redis.sock' },
        tls: null,
        trim: { maxAgeMs: 3_600_000, maxLength: 5_000 },
      }),
    );
    expect(config('bus: { cluster: { nodes: [a:1, b:2] }, tls: {} }').bus).toMatchObject({
      at: { kind: 'cluster' },
      tls: { ca: null },
    });
  });

  test.each([
    ['bus: { kind: redis }', 'bus: bus.kind redis wants one of url, sentinel, cluster'],
    ['bus: { kind: local, url: /s }', 'bus.url: means nothing with bus.kind local'],
    ['bus: { fleet: x }', 'bus.fleet: means nothing with bus.kind local'],
    ['bus: { kind: reddis }', 'did you mean redis?'],
    ['bus: { url: /s, cluster: { nodes: [a:1] } }', 'bus.cluster: bus.url is set already'],
    ['bus: { url: "redis://u:secret@h:1" }', 'expected redis://HOST:PORT'],
    ['bus: { url: "redis://h:99999" }', 'expected redis://HOST:PORT'],
    ['bus: { cluster: { nodes: [] } }', 'expected a list of HOST:PORT'],
    ['bus: { cluster: { nodes: [a:1, b] } }', 'bus.cluster.nodes[1]: got "b", expected HOST:PORT'],
    ['bus: { url: "redis://h:1/3" }', 'without a database number'],
    [
      'bus: { sentinel: { nodes: [a:1], username: u } }',
      'bus.sentinel.username: expected bus.sentinel.passwordFile beside it',
    ],
    ['bus: { sentinel: { name: m } }', 'bus.sentinel.nodes: is missing; expected a list'],
    ['bus: { url: /s, tls: { cert: c } }', 'bus.tls.cert: expected bus.tls.key beside it'],
    ['bus: { url: /s, username: u }', 'bus.username: expected bus.passwordFile beside it'],
    ['bus: { url: /s, partitions: 0 }', 'expected a whole number from 1 to 4096'],
    ['bus: { url: /s, partitions: "8" }', 'expected a number'],
    ['bus: { url: /s, trim: { length: 1.5 } }', 'expected a whole number from 1000'],
    ['bus: { url: /s, fleet: "a/b" }', 'expected 1 to 64 characters'],
    ['metrics: { port: 0 }', 'metrics.port: got 0, expected a port from 1 to 65535'],
    ['metrics: { port: http }', 'metrics.port: got "http", expected a port from 1 to 65535'],
    ['metrics: { host: 0.0.0.0 }', 'metrics.host: means nothing without metrics.port'],
    ['metrics: { port: 1, vmSeries: -1 }', 'expected a whole number from 0 to 10000'],
    ['metrics: { port: 1, host: "a b" }', 'expected an address or a host name'],
  ])('%s is refused', (text, problem) => {
    const [first = ''] = problems(text);
    expect(first).toContain(problem);
    expect(first).toMatch(/^conf\/vmwarden.yaml:1:\d+: /);
    expect(first).not.toContain('secret');
  });

  test('the file can be named by the environment', () => {
    const loaded = load('host: named', {
      configFile: undefined,
      environment: { VMWARDEN_CONFIG: 'conf/vmwarden.yaml' },
    });
    expect(loaded).toMatchObject({ ok: true, file: '/run/here/conf/vmwarden.yaml' });
  });

  test('tells all problems at once, each with its place, value and what was expected', () => {
    const text = `datadir: x
log: { level: loud }
journal:
  retention: { age: 30x, size: 5 }
  reserve: 1GB
vms:
  - id: a b
    driver: { kind: qmeu, socket: s }
  - id: web
    driver: { kind: qemu, socket: one.sock, sockt: x }
    labels: { tier: 1 }
    release: { panic: pauze }
  - id: web
    driver: { kind: qemu, socket: ./one.sock }
    takeOver: yes please
  - driver: { kind: qemu }
stopTimeout: [1]
`;
    expect(
      problems(text, {
        environment: { VMWARDEN_LOG_FORMAT: 'xml' },
        flags: { 'journal-hard-limit': 'much' },
      }).sort(),
    ).toEqual(
      [
        'conf/vmwarden.yaml:1:1: datadir: unknown key "datadir" (did you mean dataDir?)',
        'conf/vmwarden.yaml:2:15: log.level: got "loud", expected one of trace, debug, info, warn, error',
        'environment VMWARDEN_LOG_FORMAT: log.format: got "xml", expected one of auto, json, pretty',
        'conf/vmwarden.yaml:4:21: journal.retention.age: got "30x", expected a duration such as 250ms, 10s, 5m, 1h or 30d',
        'conf/vmwarden.yaml:4:32: journal.retention.size: got 5, expected text (write it in quotes: "5")',
        'conf/vmwarden.yaml:5:12: journal.reserve: got "1GB", expected a size such as 512KiB, 64MiB or 1GiB',
        'flag --journal-hard-limit: journal.hardLimit: got "much", expected a size such as 512KiB, 64MiB or 1GiB',
        'conf/vmwarden.yaml:7:9: vms[0].id: got "a b", expected 1 to 253 characters of a-z A-Z 0-9 . _ -',
        'conf/vmwarden.yaml:8:21: vms[0].driver.kind: got "qmeu", expected one of qemu, agent, observe (did you mean qemu?)',
        'conf/vmwarden.yaml:10:45: vms[1].driver.sockt: unknown key "sockt" (did you mean socket?)',
        'conf/vmwarden.yaml:11:21: vms[1].labels.tier: got 1, expected text (write it in quotes: "1")',
        'conf/vmwarden.yaml:12:23: vms[1].release.panic: got "pauze", expected one of pause, shutdown, exit-failure, none (did you mean pause?)',
        'conf/vmwarden.yaml:13:9: vms[2].id: "web" is vms[1].id already; expected another one',
        'conf/vmwarden.yaml:14:35: vms[2].driver.socket: "/run/here/conf/one.sock" is vms[1].driver.socket already; expected another one',
        'conf/vmwarden.yaml:15:15: vms[2].takeOver: got "yes please", expected true or false',
        'conf/vmwarden.yaml:16:5: vms[3].id: is missing; expected text',
        'conf/vmwarden.yaml:16:5: vms[3].driver.socket: is missing; expected text',
        'conf/vmwarden.yaml:17:14: stopTimeout: got a list, expected text',
      ].sort(),
    );
  });

  test.each([
    ['a: [', 'conf/vmwarden.yaml:1:'],
    ['host: a\nhost: b', 'conf/vmwarden.yaml:2:1'],
    ['host: &x a', 'conf/vmwarden.yaml:1:10'],
    ['- 1', 'conf/vmwarden.yaml:1:1: got a list, expected a map'],
    ['just text', 'conf/vmwarden.yaml:1:1: got "just text", expected a map'],
  ])('of the text %j it says where', (text, place) => {
    expect(problems(text)[0]).toContain(place);
  });

  test('a section that is no map is told, whatever flags say of it', () => {
    expect(problems('log: loud', { flags: { 'log-level': 'debug' } })).toEqual([
      'conf/vmwarden.yaml:1:6: log: got "loud", expected a map',
    ]);
  });

  test('a file that is not there is named with who named it', () => {
    expect(problems(null, { configFile: 'no.yaml' })).toEqual([
      'flag --config: no.yaml: there is no such file',
    ]);
    expect(problems(null, { environment: { VMWARDEN_CONFIG: 'no.yaml' } })).toEqual([
      'environment VMWARDEN_CONFIG: no.yaml: there is no such file',
    ]);
  });

  test('sockets beyond what Linux takes, the derived one too', () => {
    const long = 'x'.repeat(100);
    const found = problems(`vms: [{ id: a, driver: { kind: qemu, socket: ${long} } }]`, {
      flags: { 'data-dir': `/${long}` },
    });
    expect(found).toEqual([
      expect.stringContaining('listen.socket: the path of a unix socket has at most 107 bytes'),
      expect.stringContaining(
        'vms[0].driver.socket: the path of a unix socket has at most 107 bytes, this one 115',
      ),
    ]);
  });

  test('a hard limit below the retention contradicts it', () => {
    expect(problems('journal: { retention: { size: 8GiB } }')).toEqual([
      expect.stringContaining(
        'journal.hardLimit: got 4GiB, expected at least journal.retention.size, 8GiB',
      ),
    ]);
  });

  test('a variable that was misspelt is a warning; what Kubernetes sets is not', () => {
    const loaded = load(null, {
      environment: {
        VMWARDEN_DATADIR: 'x',
        VMWARDEN_SERVICE_HOST: '10.0.0.1',
        VMWARDEN_PORT: 'tcp://10.0.0.1:443',
        VMWARDEN_PORT_443_TCP_ADDR: '10.0.0.1',
        VMWARDEN_SOMETHING_ELSE_ALTOGETHER: '1',
      },
    });
    expect(loaded).toMatchObject({
      ok: true,
      warnings: [
        'environment VMWARDEN_DATADIR means nothing here; did you mean VMWARDEN_DATA_DIR?',
      ],
    });
  });

  test('never throws, whatever the text', () => {
    const yaml = fc.oneof(
      fc.string({ maxLength: 200 }),
      fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value)),
      fc
        .record({
          vms: fc.array(fc.anything({ maxDepth: 2 }), { maxLength: 3 }),
          log: fc.jsonValue(),
        })
        .map((value) => {
          try {
            return JSON.stringify(value) ?? '';
          } catch {
            return '';
          }
        }),
    );
    fc.assert(
      fc.property(yaml, (text) => {
        const loaded = load(text);
        if (!loaded.ok) expect(loaded.problems.length).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });
});
