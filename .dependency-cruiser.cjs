// The direction of dependencies (types count): main → cli → app → implementations;
// server → engine → {policy → event} and the contract files of vmm, journal and bus.

/** What stands behind a contract. Only the composition root, and their own folder, name them. */
const implementations =
  '^src/(journal/(lmdb/|memory-journal)|vmm/(qemu|cloud-hypervisor|firecracker|agent|observe)/|bus/(redis/|memory-bus|relay[.]ts))';

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Two files that need each other are one file, or miss a third.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-orphans',
      comment: 'Nothing reaches this file: dead code.',
      severity: 'error',
      from: {
        orphan: true,
        pathNot: ['[.]d[.]ts$', '^src/(main|guest/stand-in)[.]ts$'],
      },
      to: {},
    },
    {
      name: 'no-unresolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'runtime-dependencies-only',
      comment: 'What runs at a user must be among the dependencies in package.json.',
      severity: 'error',
      from: { path: '^src/' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-optional', 'npm-no-pkg', 'npm-unknown'],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'core-is-pure',
      comment: 'event/ and policy/ decide from their inputs alone: nothing of Node.',
      severity: 'error',
      from: { path: '^src/(event|policy)/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'core-imports-core-only',
      comment: 'event/ and policy/ know lib/ and each other; of packages, those that only compute.',
      severity: 'error',
      from: { path: '^src/(event|policy)/' },
      to: {
        pathNot: ['^src/(event|policy|lib)/', '^node_modules/(zod|yaml|@marcbachmann/cel-js)/'],
        dependencyTypesNot: ['core'],
      },
    },
    {
      name: 'core-reaches-only-pure-code',
      comment: 'Not through lib/ either.',
      severity: 'error',
      from: { path: '^src/(event|policy)/' },
      to: {
        path: '^src/(gen|record|telemetry|server|engine|journal|vmm|bus|config|cli)/',
        reachable: true,
      },
    },
    {
      name: 'event-before-policy',
      severity: 'error',
      from: { path: '^src/event/' },
      to: { path: '^src/policy/' },
    },
    {
      name: 'lib-knows-nothing-of-ours',
      severity: 'error',
      from: { path: '^src/lib/' },
      to: { path: '^src/(?!lib/)' },
    },
    {
      name: 'engine-does-no-io',
      comment: 'The engine reaches the world through the contracts of journal, vmm and bus.',
      severity: 'error',
      from: { path: '^src/engine/' },
      to: {
        path: '^(node:)?(fs|net|http|http2|https|tls|dgram|dns|child_process|worker_threads|cluster|os|process)(/|$)',
        dependencyTypes: ['core'],
      },
    },
    {
      name: 'engine-knows-contracts-only',
      severity: 'error',
      from: { path: '^src/engine/' },
      to: {
        path: '^src/',
        pathNot: [
          '^src/(engine|event|policy|record|lib|gen|config)/',
          '^src/(journal/journal|vmm/driver|bus/bus)[.]ts$',
        ],
      },
    },
    {
      name: 'server-knows-engine-and-contracts',
      severity: 'error',
      from: { path: '^src/server/' },
      to: {
        path: '^src/',
        pathNot: [
          '^src/(server|engine|event|policy|record|lib|gen|config)/',
          '^src/(journal/journal|vmm/(driver|attach)|bus/bus)[.]ts$',
        ],
      },
    },
    {
      name: 'only-the-root-names-implementations',
      comment: 'src/app.ts composes; the demo in src/cli brings its own guests.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/(app[.]ts$|cli/|fleet/)', implementations] },
      to: { path: implementations },
    },
    {
      name: 'fleet-reads-redis',
      comment:
        'Consumers share how Redis is reached, what its errors mean and what keys are called; no more.',
      severity: 'error',
      from: { path: '^src/fleet/' },
      to: {
        path: implementations,
        pathNot: '^src/bus/redis/(connection|credentials|errors|keys|script)[.]ts$',
      },
    },
    {
      name: 'implementations-stand-alone',
      comment: 'Of two implementations neither knows the other, nor who uses them.',
      severity: 'error',
      from: { path: '^src/(journal|vmm|bus)/' },
      to: { path: '^src/(app[.]ts$|main[.]ts$|(cli|server|engine)/)' },
    },
    {
      name: 'drivers-stand-alone',
      severity: 'error',
      from: { path: '^src/vmm/([^/]+)/' },
      to: { path: '^src/vmm/[^/]+/', pathNot: '^src/vmm/$1/' },
    },
    {
      name: 'nobody-imports-upwards',
      comment: 'main → cli → app.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(main[.]ts$|cli/)' },
      to: { path: '^src/(main[.]ts$|app[.]ts$|cli/)' },
    },
    {
      name: 'main-is-imported-by-nobody',
      severity: 'error',
      from: {},
      to: { path: '^src/main[.]ts$' },
    },
    {
      name: 'lmdb-in-its-folder',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/journal/lmdb/' },
      to: { path: '^node_modules/lmdb/' },
    },
    {
      name: 'redis-in-its-folder',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(bus/redis|fleet)/' },
      to: { path: '^node_modules/ioredis/' },
    },
    {
      name: 'grpc-at-the-edges',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(server|cli|gen|vmm/agent|fleet)/' },
      to: { path: '^node_modules/@grpc/' },
    },
  ],
  options: {
    doNotFollow: { path: '^node_modules/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
    exclude: { path: '[.]binpb$' },
  },
};
