import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DEFAULT_POLICY, SCHEMA_FILE } from '../../policy/default-policy.js';
import { policyJsonSchema } from '../../policy/json-schema.js';
import { FAILED, GOOD, type Io, printJson, printLine } from '../io.js';

export const schemaText = (): string => `${JSON.stringify(policyJsonSchema(), null, 2)}\n`;

/** Writes a policy to start with, and beside it the schema that its first line names, for editors without a network. */
export const policyInit = async (
  io: Io,
  file: string,
  options: { readonly force?: boolean; readonly json?: boolean },
): Promise<number> => {
  if (file === '-') {
    io.stdout.write(DEFAULT_POLICY);
    return GOOD;
  }
  const result = async (ok: boolean, message: string): Promise<number> => {
    if (options.json === true) await printJson(io.stdout, { kind: 'result', ok, file, message });
    else await printLine(io.stdout, message);
    return ok ? GOOD : FAILED;
  };
  const schema = join(dirname(file), SCHEMA_FILE);
  try {
    await writeFile(file, DEFAULT_POLICY, { flag: options.force === true ? 'w' : 'wx' });
    await writeSchema(schema);
  } catch (error) {
    const { code, path = file } = error as NodeJS.ErrnoException;
    return code === 'EEXIST'
      ? await result(false, `${file} is there already; --force writes over it`)
      : await result(false, `${path} can't be written: ${code ?? String(error)}`);
  }
  return await result(
    true,
    `wrote ${file}, and ${SCHEMA_FILE} for your editor; next: vmwarden policy check ${file}`,
  );
};

/** An older version's is replaced; somebody else's file of that name is left alone. */
const writeSchema = async (path: string): Promise<void> => {
  const there = await readFile(path, 'utf8').catch(() => null);
  if (there === null || there.includes('"title": "vmwarden policy"')) {
    await writeFile(path, schemaText());
  }
};
