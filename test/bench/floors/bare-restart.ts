import { open } from 'lmdb';
import { connectBareClient } from './qmp-client.js';

/** What a record of the event takes, and nothing of why or what next. */
const event = Buffer.alloc(200, 1);

const [dir = '', ...sockets] = process.argv.slice(2);
// Without it the transaction would be over before the disk has it.
const journal = open<Buffer, number>({ path: dir, overlappingSync: false, encoding: 'binary' });
let sequence = 0;
const durable = (): void => {
  journal.transactionSync(() => {
    sequence += 1;
    journal.putSync(sequence, event);
  });
};
await Promise.all(sockets.map((socket) => connectBareClient(socket, durable)));
console.log('ready');
