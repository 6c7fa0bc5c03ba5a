import { spawn } from 'node:child_process';

/**
 * Runs a program in its own process group, without stdin, within a deadline; at the deadline the
 * whole group is killed. Never throws: a program that can't be started is a result too.
 *
 * @typedef {{ ok: boolean, output: string, problem: string }} CommandResult `problem` is '' when ok
 *
 * @param {readonly [string, ...string[]]} command
 * @param {{ timeoutMs: number, show?: boolean, env?: NodeJS.ProcessEnv, cwd?: string }} options
 *   `show`: print as it comes instead of collecting into `output`
 * @returns {Promise<CommandResult>}
 */
export function run([program, ...args], { timeoutMs, show = false, env, cwd }) {
  return new Promise((resolve) => {
    const io = show ? 'inherit' : 'pipe';
    const child = spawn(program, args, {
      stdio: ['ignore', io, io],
      detached: true,
      env: env ?? process.env,
      cwd,
    });
    let output = '';
    let late = false;
    child.stdout?.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr?.on('data', (chunk) => {
      output += chunk;
    });
    const kill = () => {
      if (child.pid !== undefined) {
        try {
          process.kill(-child.pid, 'SIGKILL');
        } catch {
          // The group has ended by itself.
        }
      }
    };
    const deadline = setTimeout(() => {
      late = true;
      kill();
    }, timeoutMs);
    // In a group of its own the child doesn't get the terminal's Ctrl-C.
    const interrupted = () => {
      kill();
      process.exit(130);
    };
    process.once('SIGINT', interrupted);
    process.once('SIGTERM', interrupted);
    const settle = (/** @type {string} */ problem) => {
      clearTimeout(deadline);
      process.off('SIGINT', interrupted);
      process.off('SIGTERM', interrupted);
      resolve({ ok: problem === '', output, problem });
    };
    child.on('error', (error) => settle(error.message));
    child.on('close', (code, signal) => {
      if (late) settle(`still running after ${timeoutMs / 1000} s`);
      else if (signal !== null) settle(`ended by ${signal}`);
      else settle(code === 0 ? '' : `exit code ${code}`);
    });
  });
}
