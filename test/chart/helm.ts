import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { partPath } from '../support/parts.js';

export const CHART = 'charts/vmwarden';
export const RELEASE = 'host';
export const NAMESPACE = 'vms';

/** Values as an operator would write them, or a file of them. */
export type Values = Readonly<Record<string, unknown>> | string;

/** A Kubernetes object as it was rendered; nothing about it is known yet. */
export interface Rendered {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [key: string]: unknown;
}

export type HelmResult =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly problem: string };

/** Runs a real helm that reaches no cluster and none of its user's files. */
export const helm = (args: readonly string[], values: Values = {}): HelmResult => {
  const home = mkdtempSync(join(tmpdir(), 'vmwarden-helm-'));
  try {
    const file = typeof values === 'string' ? values : join(home, 'values.json');
    if (typeof values !== 'string') writeFileSync(file, JSON.stringify(values));
    const { status, stdout, stderr } = spawnSync(partPath('helm'), [...args, '--values', file], {
      encoding: 'utf8',
      timeout: 60_000,
      env: { HOME: home, PATH: process.env['PATH'], KUBECONFIG: join(home, 'none') },
    });
    if (status === 0) return { ok: true, text: stdout };
    return { ok: false, problem: `${stdout}${stderr}` };
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
};

export const template = (values: Values, chart = CHART): HelmResult =>
  helm(['template', RELEASE, chart, '--namespace', NAMESPACE], values);

/** All objects of a chart that must render. */
export const render = (values: Values, chart = CHART): readonly Rendered[] => {
  const result = template(values, chart);
  if (!result.ok) throw new Error(result.problem);
  return parseAllDocuments(result.text).flatMap((document) => {
    if (document.errors[0] !== undefined) throw document.errors[0];
    const object: unknown = document.toJS();
    return object === null ? [] : [object as Rendered];
  });
};

/** The object of this kind whose name ends so; throws when there is none. */
export const find = (objects: readonly Rendered[], kind: string, ending = ''): Rendered => {
  const found = objects.find(
    (object) => object.kind === kind && object.metadata.name.endsWith(ending),
  );
  if (found === undefined) throw new Error(`no ${kind} ${ending} among what was rendered`);
  return found;
};
