import { readdir, readFile } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import packageJson from '../../../package.json' with { type: 'json' };
import { type Collector, sample } from './collector.js';
import type { Sample } from './instruments.js';

/**
 * This process, as /proc and V8 tell it. prom-client's own collectors keep a timer and an observer running, which an
 * idle sidecar would pay for.
 */
export const processCollector = (): Collector => ({
  group: 'process',
  collect: async () => {
    const { used_heap_size: used, total_heap_size: total } = getHeapStatistics();
    return [
      sample('vmwarden_build_info', 1, { version: packageJson.version }),
      sample('process_start_time_seconds', performance.timeOrigin / 1000),
      sample('vmwarden_event_loop_active_seconds_total', loopActiveSeconds()),
      sample('nodejs_heap_size_used_bytes', used),
      sample('nodejs_heap_size_total_bytes', total),
      ...(await fromProc()),
    ];
  },
});

const loopActiveSeconds = (): number => performance.eventLoopUtilization().active / 1000;

/** USER_HZ, in which the kernel tells CPU time; 100 on every architecture that KVM runs on. */
const TICKS_PER_SECOND = 100;

const fromProc = async (): Promise<readonly Sample[]> => {
  const [stat, status, limits, fds] = await Promise.all([
    readFile('/proc/self/stat', 'utf8'),
    readFile('/proc/self/status', 'utf8'),
    readFile('/proc/self/limits', 'utf8'),
    readdir('/proc/self/fd'),
  ]);
  // Behind the name, which may have blanks in it: field 3 on (proc_pid_stat(5)); 14 and 15 are utime and stime.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  const residentKiB = Number(/^VmRSS:\s*(\d+) kB/m.exec(status)?.[1]);
  const maxFds = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]);
  return [
    sample('process_cpu_seconds_total', ticks / TICKS_PER_SECOND),
    sample('process_resident_memory_bytes', residentKiB * 1024),
    sample('process_open_fds', fds.length),
    ...(Number.isNaN(maxFds) ? [] : [sample('process_max_fds', maxFds)]),
  ];
};
