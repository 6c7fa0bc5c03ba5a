import { resolve } from 'node:path';
import ts from 'typescript';
import type { Rendered } from './helm.js';

/**
 * Where the type of an object is: `kubernetes-types` is generated from the OpenAPI schemas of Kubernetes 1.30, and
 * custom resources have theirs in crds.ts.
 */
const MODULES: Readonly<Record<string, string>> = {
  v1: 'kubernetes-types/core/v1',
  'apps/v1': 'kubernetes-types/apps/v1',
  'networking.k8s.io/v1': 'kubernetes-types/networking/v1',
  'scheduling.k8s.io/v1': 'kubernetes-types/scheduling/v1',
  'cert-manager.io/v1': './crds.js',
  'monitoring.coreos.com/v1': './crds.js',
};

/** In this folder, where imports resolve; never on disk. */
const FILE = resolve('test/chart/rendered.ts');

/**
 * What is wrong with the objects, one line each: fields that the schema doesn't know, that are missing, or that are of
 * another type. Each object becomes a literal of its kind's type, and the compiler says what it says of literals.
 */
export const typeProblems = (objects: readonly Rendered[]): readonly string[] => {
  const lines = objects.flatMap(({ apiVersion, kind, ...rest }, index) => {
    const module = MODULES[apiVersion];
    if (module === undefined) throw new Error(`no schema for ${apiVersion} ${kind}`);
    const whole = JSON.stringify({ apiVersion, kind, ...rest });
    return [
      `import type { ${kind} as Kind${index} } from '${module}';`,
      `export const object${index}: Kind${index} = ${whole};`,
    ];
  });
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    lib: ['lib.es2023.d.ts'],
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
  };
  const host = ts.createCompilerHost(options);
  const readSource = host.getSourceFile.bind(host);
  host.getSourceFile = (name, version, ...rest) =>
    name === FILE
      ? ts.createSourceFile(name, lines.join('\n'), version)
      : readSource(name, version, ...rest);
  const program = ts.createProgram([FILE], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const line = file?.getLineAndCharacterOfPosition(start ?? 0).line ?? 0;
    const object = objects[Math.floor(line / 2)];
    const text = ts.flattenDiagnosticMessageText(messageText, ' ');
    return `${object?.kind} ${object?.metadata.name}: ${text}`;
  });
};
