import { Cluster, Redis } from 'ioredis';
import { BulkCommand } from './bulk-command.js';

/**
 * For who loads ioredis only when it is needed, by `import('./clients.js')`: of a CommonJS package that is
 * imported at run time a bundle has no names, only a default.
 */
export { BulkCommand, Cluster, Redis };
