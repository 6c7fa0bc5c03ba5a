import { connect } from 'node:net';
import { Fault } from '../lib/fault.js';

const PROBE_TIMEOUT_MS = 2000;

/** Whether somebody listens on a unix socket. */
export const listens = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    const answer = (alive: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(alive);
    };
    const timer = setTimeout(() => answer(false), PROBE_TIMEOUT_MS);
    socket.once('connect', () => answer(true));
    socket.once('error', () => answer(false));
  });

export const notServing = (socket: string): Fault =>
  new Fault(
    'UNAVAILABLE',
    'NOT_SERVING',
    `No vmwarden listens on ${socket}; start one: vmwarden serve`,
  );
