import { expect, test } from 'vitest';
import { userName } from '../../src/cli/operator-options.js';

test('names the user, and by number who has no passwd entry', () => {
  expect(userName(() => ({ username: 'ana' }))).toBe('ana');
  const unknown = () => {
    throw new Error('A system error occurred: uv_os_get_passwd returned ENOENT');
  };
  expect(userName(unknown)).toBe(`uid ${process.getuid?.()}`);
});
