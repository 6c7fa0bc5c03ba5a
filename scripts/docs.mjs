// Writes docs/api.md from the descriptor set with its comments, and docs/errors.md from the table of reasons.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/** @typedef {import('@bufbuild/protobuf').DescMessage | import('@bufbuild/protobuf').DescEnum} Type */

/** docs/api.md. */
export function apiReference() {
  const bytes = readFileSync(join(root, 'src/gen/descriptor.binpb'));
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes));
  const files = [...registry.files]
    .filter(({ proto }) => proto.package === 'vmwarden.v1')
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const lines = [
    '# The gRPC API, `vmwarden.v1`',
    '',
    'Made by `npm run generate` from the files in `proto/vmwarden/v1`, which are the contract. Errors: [errors.md](errors.md).',
  ];
  for (const service of files.flatMap(({ services }) => services)) {
    lines.push('', `## ${service.name}`, ...paragraph(service));
    for (const method of service.methods) {
      const input = `${method.methodKind === 'bidi_streaming' ? 'stream ' : ''}${link(method.input)}`;
      const streams = method.methodKind !== 'unary';
      const output = `${streams ? 'stream ' : ''}${link(method.output)}`;
      lines.push('', `### ${service.name}.${method.name}`, '', `${input} → ${output}`);
      lines.push(...paragraph(method));
    }
  }
  for (const file of files) {
    lines.push('', `## ${file.name.split('/').at(-1)}.proto`);
    for (const message of file.messages) lines.push(...messageLines(message));
    for (const one of file.enums) lines.push(...enumLines(one));
  }
  return `${lines.join('\n')}\n`;
}

/** @param {import('@bufbuild/protobuf').DescMessage} message */
function messageLines(message) {
  const lines = ['', `### ${message.name}`, ...paragraph(message)];
  if (message.fields.length > 0) lines.push('', '| field | type | |', '|---|---|---|');
  for (const field of message.fields) {
    const one = field.oneof === undefined ? '' : `one of \`${field.oneof.name}\`. `;
    lines.push(
      `| \`${field.name}\` = ${field.number} | ${typeOf(field)} | ${cell(one + comment(field))} |`,
    );
  }
  return lines;
}

/** @param {import('@bufbuild/protobuf').DescEnum} one */
function enumLines(one) {
  const lines = ['', `### ${one.name}`, ...paragraph(one), '', '| value | |', '|---|---|'];
  for (const value of one.values) {
    lines.push(`| \`${value.name}\` = ${value.number} | ${cell(comment(value))} |`);
  }
  return lines;
}

/**
 * @param {import('@bufbuild/protobuf').DescField} field
 * @returns {string}
 */
function typeOf(field) {
  const scalar = (/** @type {number} */ type) => SCALARS[type] ?? String(type);
  const of = field.message ?? field.enum;
  if (field.fieldKind === 'map')
    return `map of ${scalar(field.mapKey)} to ${scalar(field.scalar ?? 0)}`;
  const type = of === undefined ? scalar(field.scalar ?? 0) : link(of);
  return field.fieldKind === 'list' ? `list of ${type}` : type;
}

/** @type {{ [type: number]: string }} google.protobuf.FieldDescriptorProto.Type */
const SCALARS = { 4: 'uint64', 5: 'int32', 8: 'bool', 9: 'string', 12: 'bytes', 13: 'uint32' };

/** @param {Type} type */
function link(type) {
  const ours = type.typeName.startsWith('vmwarden.v1.');
  return ours ? `[${type.name}](#${type.name.toLowerCase()})` : `\`${type.typeName}\``;
}

/**
 * The comment that stands at a declaration.
 *
 * @param {Commented} of
 */
function comment(of) {
  const path = pathOf(of).join();
  const { location = [] } = fileOf(of).proto.sourceCodeInfo ?? {};
  const found = location.find((one) => one.path.join() === path);
  return `${found?.leadingComments ?? ''}${found?.trailingComments ?? ''}`
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .join(' ');
}

/** @typedef {import('@bufbuild/protobuf').DescMessage | import('@bufbuild/protobuf').DescEnum | import('@bufbuild/protobuf').DescService | import('@bufbuild/protobuf').DescMethod | import('@bufbuild/protobuf').DescField | import('@bufbuild/protobuf').DescEnumValue} Commented */

/** @param {Commented} of */
function fileOf(of) {
  return 'file' in of ? of.file : of.parent.file;
}

/**
 * Field numbers and indexes, as google.protobuf.SourceCodeInfo has them. All our messages are at the top.
 *
 * @param {Commented} of
 * @returns {number[]}
 */
function pathOf(of) {
  switch (of.kind) {
    case 'message':
      return [4, of.file.messages.indexOf(of)];
    case 'enum':
      return [5, of.file.enums.indexOf(of)];
    case 'service':
      return [6, of.file.services.indexOf(of)];
    case 'field':
      return [...pathOf(of.parent), 2, of.parent.fields.indexOf(of)];
    case 'enum_value':
      return [...pathOf(of.parent), 2, of.parent.values.indexOf(of)];
    case 'rpc':
      return [...pathOf(of.parent), 2, of.parent.methods.indexOf(of)];
  }
}

/** @param {Commented} of */
function paragraph(of) {
  const text = comment(of);
  return text === '' ? [] : ['', text];
}

const cell = (/** @type {string} */ text) => text.replaceAll('|', '\\|');

/** docs/errors.md. */
export async function errorReference() {
  const dir = mkdtempSync(join(tmpdir(), 'vmwarden-docs-'));
  try {
    const outfile = join(dir, 'reasons.mjs');
    await build({ entryPoints: [join(root, 'src/server/reasons.ts')], outfile, format: 'esm' });
    /** @type {{ REASONS: { [reason: string]: { code: string, also?: string, meaning: string, remedy: string } } }} */
    const { REASONS } = await import(pathToFileURL(outfile).href);
    const rows = Object.entries(REASONS).sort(([a], [b]) => (a < b ? -1 : 1));
    return `${[
      '# Errors of the gRPC API',
      '',
      'Every error is a google.rpc.Status: an ErrorInfo with a stable `reason` in the domain `vmwarden.dev`, a BadRequest where fields',
      'are wrong, a RetryInfo where it helps to wait. Match on the reason; the message is for people. Made by `npm run generate` from',
      '`src/server/reasons.ts`. What else can end an agent’s stream is in [agents.md](agents.md#how-a-stream-ends); reasons of the fleet bus are in',
      '[fleet-bus.md](fleet-bus.md#when-something-is-wrong), those of its library in [fleet.md](fleet.md#options-of-consume).',
      '',
      '| reason | status | when | what to do |',
      '|---|---|---|---|',
      ...rows.map(
        ([reason, { code, also, meaning, remedy }]) =>
          `| \`${reason}\` | ${also === undefined ? code : `${code}, ${also}`} | ${cell(meaning)} | ${cell(remedy)} |`,
      ),
    ].join('\n')}\n`;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(join(root, 'docs/api.md'), apiReference());
  writeFileSync(join(root, 'docs/errors.md'), await errorReference());
}
